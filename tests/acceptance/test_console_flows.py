"""What an operator does on the console, in a real Chromium: each change is a command with an outcome and a name."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from domain.operation import State
from tests.acceptance.console import PATIENCE, Scene
from tests.acceptance.shop import Names, template
from tests.waiting import eventually


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("console"))
    try:
        made.stage.publish_version(template(), "v2.0")
        yield made
    finally:
        made.close()


def succeeded(page: Page) -> None:
    """The page of an operation comes to its end by itself."""
    expect(page.locator(".title .state").first).to_have_text("✓succeeded")
    reloaded(page)


def reloaded(page: Page) -> None:
    """It asks for nothing any more: not before that is it safe to go elsewhere."""
    expect(page.locator("[data-refresh]")).to_have_count(0)


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def unfold(page: Page, name: str) -> None:
    page.locator("summary", has_text=name).click()


# ---------------------------------------------------------------- coming and going
def test_a_wrong_token_is_told_and_a_right_one_leads_to_the_page_that_was_asked_for(scene: Scene) -> None:
    page = scene.browser.new_context(base_url=scene.url).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto("/services?q=blog")
    page.fill("#token", "bks_wrong")
    press(page, "Sign in")
    expect(page.get_by_role("alert")).to_contain_text("not valid")
    page.fill("#token", scene.token("viewer"))
    press(page, "Sign in")
    page.wait_for_url("**/services?q=blog")
    press(page, "Sign out")
    page.wait_for_url("**/login")
    page.goto("/operations")
    assert "/login" in page.url
    page.context.close()


def test_a_page_that_would_reload_itself_does_not_overtake_the_link_that_was_followed(scene: Scene) -> None:
    """It is on the way already, and only slow."""
    fragments, pages = list[Route](), list[Route]()
    with scene.looking() as page:
        page.route("**/?part=now*", lambda route: fragments.append(route))
        page.route("**/services", lambda route: pages.append(route))
        with page.expect_request("**/?part=now*"):
            page.goto("/")
        with page.expect_request("**/services"):
            page.get_by_role("link", name="Services", exact=True).click(no_wait_after=True)
        with page.expect_request("**/?part=now*"):  # the answer is read, and it goes on asking
            fragments[0].fulfill(body="<span data-ended></span>")
        pages[0].continue_()
        page.wait_for_url("**/services")


# ---------------------------------------------------------------- services and snapshots
def test_a_snapshot_is_taken_and_followed_to_its_outcome_without_reloading_by_hand(scene: Scene) -> None:
    scene.platform.service("mail")
    with scene.looking("operator") as page:
        page.goto("/services/mail")
        assert "There is no snapshot of its data" in page.locator("main").inner_text()
        unfold(page, "With labels")
        page.fill("textarea[name=labels]", "reason:from the console\nowner:7")
        press(page, "Take a snapshot now")
        page.wait_for_url("**/operations/*")
        succeeded(page)
        page.get_by_role("link", name="The snapshot").click()
        expect(page.get_by_text("reason:from the console")).to_be_visible()
    taken = scene.platform.listed("mail", labels=("owner:7",))
    operation = scene.database.ledger.get(taken[0])
    assert operation is not None and operation.source.endswith("/console/operator of *")


def test_a_form_that_is_sent_twice_is_one_command(scene: Scene) -> None:
    scene.platform.service("twice")
    with scene.looking("operator") as page:
        page.goto("/services/twice")
        form = page.locator("form", has_text="Take a snapshot now")
        fields: dict[str, str | bool | float] = {
            name: form.locator(f"input[name={name}]").get_attribute("value") or "" for name in ("csrf", "message_id")
        }
        answers = [page.request.post("/services/twice/snapshot", form=fields, max_redirects=0) for _ in range(2)]
        first, second = (answer.headers["location"] for answer in answers)
        assert first.removesuffix("?told=sent") == second.removesuffix("?told=again")
        page.goto(second)
        expect(page.get_by_role("status").first).to_contain_text("nothing was done twice")


def test_a_restore_shows_what_it_would_do_and_wants_the_name_before_it_does_it(scene: Scene) -> None:
    tree = scene.platform.service("files")
    snapshot = scene.platform.snapshot("files")
    (tree / "new.txt").write_text("written since")
    with scene.looking("operator") as page:
        page.goto(f"/snapshots/{snapshot.snapshot_id}")
        page.get_by_role("link", name="Restore …").click()
        press(page, "Dry run: what would change?")
        would = page.get_by_role("region", name="What would change")
        expect(would).to_contain_text("new.txt")
        assert (tree / "new.txt").exists()
        page.get_by_label("Type files to confirm").fill("flies")
        press(page, "Restore now")
        expect(page.get_by_role("alert")).to_contain_text("type its id")
        typed = page.get_by_label("Type files to confirm")
        expect(typed).to_be_focused()
        expect(typed).to_have_value("flies")
        assert (tree / "new.txt").exists()
        typed.fill("files")
        press(page, "Restore now")
        succeeded(page)
    assert not (tree / "new.txt").exists()


def test_a_mistake_is_put_right_in_the_form_in_which_it_was_made_without_script_too(scene: Scene) -> None:
    scene.platform.service("typo")
    with scene.looking("operator", script=False) as page:
        page.goto("/services/typo")
        unfold(page, "With labels")
        page.fill("textarea[name=labels]", "no colon")
        with page.expect_response("**/snapshot") as met:
            press(page, "Take a snapshot now")
        assert met.value.status == 422
        expect(page.locator("h1")).to_have_text("typo")
        labels = page.locator("textarea[name=labels]")
        expect(labels).to_be_focused()
        expect(labels).to_have_value("no colon")
        expect(labels).to_have_accessible_description(re.compile("label"))
        labels.fill("reason:corrected")
        press(page, "Take a snapshot now")
        page.wait_for_url("**/operations/*")
    eventually(lambda: len(scene.platform.listed("typo")) == 1, what="the snapshot is taken")


def test_a_snapshot_is_verified_pinned_and_deleted(scene: Scene) -> None:
    scene.platform.service("shelf")
    snapshot = scene.platform.snapshot("shelf")
    here = f"/snapshots/{snapshot.snapshot_id}"
    with scene.looking() as page:
        page.goto(here)
        unfold(page, "Verify it now")
        press(page, "Verify")
        succeeded(page)
        page.goto(here)
        assert "every byte was right" in page.locator("main").inner_text()
        unfold(page, "Pin it")
        page.get_by_label("Reason").first.fill("before the audit")
        press(page, "Pin")
        succeeded(page)
        page.goto(here)
        press(page, "Unpin")
        succeeded(page)
        page.goto(here)
        unfold(page, "Delete it")
        page.get_by_label("Type shelf to confirm").fill("shelf")
        press(page, "Delete for good")
        succeeded(page)
    assert scene.platform.listed("shelf") == []


def test_an_archive_is_prepared_and_its_address_is_given_to_whoever_may_export(scene: Scene) -> None:
    scene.platform.service("pages")
    snapshot = scene.platform.snapshot("pages")
    with scene.looking() as page:
        page.goto(f"/snapshots/{snapshot.snapshot_id}")
        press(page, "Prepare a download")
        succeeded(page)
        page.goto(f"/snapshots/{snapshot.snapshot_id}")
        press(page, "Get a download link")
        address = page.locator("#download").get_attribute("href")
        assert address is not None and f"/exports/{snapshot.snapshot_id}?" in address
    [entry] = scene.database.audit.list(action="snapshot.link", limit=1)
    assert entry.subject.endswith(snapshot.snapshot_id) and entry.actor == "admin of *"


# ---------------------------------------------------------------- upgrades
def test_an_upgrade_and_its_rollback_are_looked_at_before_they_are_done(scene: Scene) -> None:
    names = Names()
    scene.stage.install(names)
    with scene.looking("operator") as page:
        page.goto(f"/services/{names.web}")
        page.get_by_role("link", name="Preview the upgrade").click()
        plan = page.locator(".plan")
        expect(plan).to_contain_text("CACHE_URL")
        assert "kept" in plan.inner_text()
        assert scene.stage.configuration(names.web).origin["version"] == "v1.0"
        press(page, "Upgrade now")
        succeeded(page)
        assert scene.stage.configuration(names.web).origin["version"] == "v2.0"
        page.goto(f"/services/{names.web}")
        page.get_by_role("link", name="Preview a rollback").click()
        expect(page.locator(".plan")).to_contain_text("CACHE_URL")
        page.get_by_label("Reason").fill("the shop was slow")
        press(page, "Roll back now")
        succeeded(page)
        page.goto(f"/services/{names.web}")
        assert "held" in page.get_by_role("region", name="Versions").inner_text()
    assert scene.stage.configuration(names.web).origin["version"] == "v1.0"
    scene.stage.agree(names, names.web)


# ---------------------------------------------------------------- deciding
def test_what_is_stuck_is_put_back_once_the_cause_is_gone(scene: Scene) -> None:
    names = Names()
    stuck = scene.stick(names)
    with scene.looking("operator") as page:
        page.goto(f"/operations/{stuck.op_id}")
        assert page.locator("summary", has_text="by hand").count() == 0, "an operator states nothing"
        page.get_by_label("Reason").fill("the region is mended")
        press(page, "Try again")
        expect(page.locator(".title .state").first).to_have_text("↺rolled back")
    scene.stage.agree(names, names.web)


def test_a_persons_word_needs_a_reason_and_the_name_of_the_service(scene: Scene) -> None:
    names = Names()
    stuck = scene.stick(names)
    with scene.looking() as page:
        page.goto(f"/operations/{stuck.op_id}")
        unfold(page, "I have put it back by hand")
        form = page.locator("details", has_text="I have put it back by hand").last
        form.get_by_label("Reason").fill("looked at it")
        form.get_by_label("to confirm").fill(names.web)
        press(page, "It is as before")
        expect(page.locator(".title .state").first).to_have_text("↺rolled back")
    ended = scene.database.ledger.get(stuck.op_id)
    assert ended is not None and ended.outcome is not None and "admin of *" in ended.outcome["sentence"]
    [entry] = scene.database.audit.list(subject=f"operation/{stuck.op_id}")
    assert (entry.action, entry.way, entry.reason) == ("operation.resolve", "console", "looked at it")


def test_what_has_not_begun_is_cancelled(scene: Scene) -> None:
    scene.platform.service("far")
    elsewhere = {"snapshot_id": "00000000-0000-8000-a000-000000000000", "target": {"node": "ghost"}}
    message = scene.platform.publish("restore-snapshot", elsewhere, service="far")
    waiting = eventually(lambda: scene.platform.find(message), what="it was accepted")
    assert waiting is not None
    with scene.looking("operator") as page:
        page.goto(f"/operations/{waiting.op_id}")
        expect(page.locator(".callout").first).to_contain_text("ghost")
        unfold(page, "Cancel it")
        press(page, "Cancel this operation")
        expect(page.locator(".title .state").first).to_have_text("–cancelled")
    assert scene.platform.outcome(message).state is State.CANCELLED


# ---------------------------------------------------------------- dead letters and nodes
def test_a_dead_letter_is_put_aside_with_a_reason(scene: Scene) -> None:
    message = scene.platform.publish("create-snapshot", {"labells": ["a:b"]}, service="mail")
    scene.platform.letter_reason(message)
    [letter] = scene.database.find_dead_letters("/acceptance", message)
    with scene.looking("operator") as page:
        page.goto(f"/dead-letters/{letter.dead_letter_id}")
        unfold(page, "Discard it")
        page.get_by_label("Reason").fill("published again, with labels")
        press(page, "Discard")
        expect(page.locator(".title .state").first).to_have_text("–discarded")
    found = scene.database.dead_letters.get(letter.dead_letter_id)
    assert found is not None and (found.resolution, found.resolved_by) == ("discarded", "operator of *")


def test_a_node_is_drained_and_taken_back(scene: Scene) -> None:
    with scene.looking() as page:
        page.goto("/nodes/web-1")
        unfold(page, "Drain it")
        page.get_by_label("Reason").fill("kernel update")
        press(page, "Drain")
        expect(page.locator(".head")).to_contain_text("drained by admin of *")
        press(page, "Let it take work again")
        expect(page.locator(".title .state")).to_have_text("✓takes work")


def test_a_schedule_is_paused_with_a_reason_and_goes_on(scene: Scene) -> None:
    scene.platform.service("clock")
    nightly = {"kind": "create-snapshot", "service": "clock", "cron": "@daily"}
    scene.platform.run("set-schedule", nightly, service="clock-nightly")
    with scene.looking("operator") as page:
        page.goto("/schedules")
        page.get_by_role("link", name="clock-nightly").click()
        unfold(page, "Pause it")
        page.get_by_label("Reason").first.fill("moving the store")
        press(page, "Pause")
        succeeded(page)
        page.goto("/schedules/acme/clock-nightly")
        expect(page.locator(".callout")).to_contain_text("moving the store")
        press(page, "Resume")
        succeeded(page)
    found = scene.database.schedules.get("acme", "clock-nightly")
    assert found is not None and found.pause is None


def test_a_schedule_is_made_changed_and_removed(scene: Scene) -> None:
    def found(name: str) -> tuple[str, str, str] | None:
        one = scene.database.schedules.get("acme", name)
        return None if one is None else (one.cron, one.zone, one.service_id)

    scene.platform.service("diary")
    with scene.looking() as page:
        page.goto("/schedules")
        page.get_by_role("link", name="New schedule").click()
        page.get_by_label("Tenant", exact=True).fill("acme")
        page.get_by_label("Name", exact=True).fill("diary-weekly")
        page.get_by_label("Of service").fill("diary")
        page.get_by_label("When", exact=True).fill("0 4 * * funday")
        press(page, "Make it")
        expect(page.get_by_role("alert")).to_contain_text("funday")
        expect(page.get_by_label("When", exact=True)).to_be_focused()
        page.get_by_label("When", exact=True).fill("0 4 * * sun")
        press(page, "When would that be?")
        expect(page.get_by_role("status").locator("li")).to_have_count(5)
        press(page, "Make it")
        succeeded(page)
        assert found("diary-weekly")
        page.goto("/schedules/acme/diary-weekly/change")
        page.get_by_label("By the clocks of").fill("Europe/Berlin")
        press(page, "Change it")
        succeeded(page)
        assert found("diary-weekly") == ("0 4 * * sun", "Europe/Berlin", "diary")
        page.goto("/schedules/acme/diary-weekly")
        unfold(page, "Remove it")
        page.get_by_label("Type diary-weekly to confirm").fill("diary-weekly")
        press(page, "Remove")
        succeeded(page)
    assert found("diary-weekly") is None


def test_a_token_is_made_shown_once_used_and_revoked(scene: Scene) -> None:
    with scene.looking() as page:
        page.goto("/tokens")
        page.get_by_label("For").fill("bert")
        page.get_by_label("Roles").fill("boss:acme")
        press(page, "Make the token")
        expect(page.get_by_role("alert")).to_contain_text("none of viewer, operator, admin")
        expect(page.get_by_label("For")).to_have_value("bert")
        page.get_by_label("Roles").fill("viewer:acme")
        press(page, "Make the token")
        secret = page.locator("#token").inner_text()
        page.get_by_role("link", name="I have it").click()
        assert secret not in page.content()
        used = page.request.get("/api/v1/operations", headers={"authorization": f"Bearer {secret}", "cookie": ""})
        assert used.status == 200
        row = page.locator("tr", has_text="bert")
        row.locator("summary").click()
        row.get_by_label("Type bert to confirm").fill("bert")
        row.get_by_role("button", name="Revoke").click()
        expect(page.get_by_role("region", name="Over")).to_contain_text("revoked by admin of *")
        refused = page.request.get("/api/v1/operations", headers={"authorization": f"Bearer {secret}", "cookie": ""})
        assert refused.status == 401


def test_whoever_may_only_look_is_refused_also_without_the_form(scene: Scene) -> None:
    scene.platform.service("guarded")
    with scene.looking("viewer") as page:
        page.goto("/services/guarded")
        token = page.locator("form[action='/logout'] input[name=csrf]").get_attribute("value")
        answer = page.request.post(
            "/services/guarded/snapshot", form={"csrf": token or "", "message_id": "viewer-1"}, max_redirects=0
        )
        assert answer.status == 403
        unsigned = page.request.post("/services/guarded/snapshot", form={"message_id": "viewer-2"}, max_redirects=0)
        assert unsigned.status == 403
    assert scene.platform.listed("guarded") == []


# ---------------------------------------------------------------- replaying
def failed(scene: Scene, service: str, count: int) -> list[str]:
    """Dead letters of one cause: the service's directory has vanished."""
    tree = scene.platform.apps("web-1") / service
    tree.rename(tree.with_suffix(".away"))
    for number in range(count):
        done = scene.platform.run("create-snapshot", {"labels": [f"try:{number}"]}, service=service)
        assert done.state is State.FAILED, done.outcome
    found = scene.database.dead_letters.list(resolved=False, limit=100, before=None)
    return [one.dead_letter_id for one in found if one.subject == f"tenant/acme/service/{service}"]


def mend(scene: Scene, service: str) -> None:
    tree = scene.platform.apps("web-1") / service
    tree.with_suffix(".away").rename(tree)


def open_group(page: Page, scene: Scene, letter_id: str) -> None:
    letter = scene.database.dead_letters.get(letter_id)
    assert letter is not None
    page.goto("/dead-letters")
    page.locator(f"a[href='/dead-letters/groups/{letter.fingerprint}']").click()


def test_a_group_is_replayed_with_a_canary_that_fails_is_mended_and_goes_through(scene: Scene) -> None:
    scene.platform.service("album")
    letters = failed(scene, "album", 4)
    with scene.looking("operator") as page:
        open_group(page, scene, letters[0])
        assert "4 safe" in page.get_by_role("region", name="What replaying them would do now").inner_text()
        page.get_by_label("Reason").fill("is it mended?")
        press(page, "Replay 4 that are safe")
        expect(page.locator("main")).to_contain_text("It has stopped")
        expect(page.locator(".tile", has_text="left as dead letters")).to_contain_text("3")
        reloaded(page)
        mend(scene, "album")
        open_group(page, scene, letters[0])
        page.get_by_role("button", name="that are safe").click()
        expect(page.locator("main")).to_contain_text("Every letter has been dealt with")
    eventually(lambda: len(scene.platform.listed("album")) == 4, what="every replay has succeeded")
    left = scene.database.dead_letters.list(resolved=False, limit=100, before=None)
    assert not [one for one in left if one.subject == "tenant/acme/service/album"]


def test_a_letter_is_opened_edited_and_keeps_its_original(scene: Scene) -> None:
    scene.platform.service("draft")
    message = scene.platform.publish("create-snapshot", {"labells": ["a:b"]}, service="draft")
    scene.platform.letter_reason(message)
    [letter] = scene.database.find_dead_letters("/acceptance", message)
    with scene.looking() as page:
        page.goto(f"/dead-letters/{letter.dead_letter_id}")
        expect(page.locator("main")).to_contain_text("impossible")
        page.get_by_role("link", name="Edit and replay …").click()
        text = page.locator("textarea").input_value()
        page.get_by_label("Reason").fill("misspelt")
        press(page, "Replay as edited")
        expect(page.get_by_role("alert")).to_contain_text("labells")
        page.locator("textarea").fill(text.replace("labells", "labels"))
        page.get_by_label("Reason").fill("misspelt")
        press(page, "Replay as edited")
        succeeded(page)
    kept = scene.database.dead_letters.get(letter.dead_letter_id)
    assert kept is not None and b"labells" in (kept.raw or b"") and kept.replay_op_id is not None
    opened = scene.database.audit.list(action="dead-letter.read-raw", limit=1)
    assert opened[0].actor == "admin of *"


def test_an_operator_sees_no_raw_message(scene: Scene) -> None:
    message = scene.platform.publish("create-snapshot", {"labells": ["canary-77"]}, service="mail")
    scene.platform.letter_reason(message)
    [letter] = scene.database.find_dead_letters("/acceptance", message)
    with scene.looking("operator") as page:
        for address in ("", "?raw=true", "/edit"):
            page.goto(f"/dead-letters/{letter.dead_letter_id}{address}")
            assert "canary-77" not in page.content()
    with scene.looking() as page:
        page.goto(f"/dead-letters/{letter.dead_letter_id}")
        assert "canary-77" not in page.content()
        page.get_by_role("link", name="Show the message as it came").click()
        expect(page.locator("main")).to_contain_text("canary-77")
