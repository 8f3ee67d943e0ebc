"""Dead letters over HTTP are no way around the roles of commands: replaying and editing, by the API and on pages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from domain.contracts import Rejected
from domain.operation import State
from domain.outcome import Outcome
from storage.sql.tables import dead_letter, operation
from tests.site import Reply, Site, site

SNAP = "0192f0c1-0000-7000-8000-000000000001"
ELSEWHERE = {"snapshot_id": SNAP, "target": {"node": "n2", "directory": "other/place"}}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "data") as opened:
        yield opened


def failed(here: Site, service: str, kind: str, data: dict[str, Any]) -> str:
    """The dead letter of a command that an admin of everything gave, and that failed."""
    admin = here.token(f"maker-{service}", everywhere="admin")
    assert here.ask("POST", f"/api/v1/tenants/acme/services/{service}/{kind}", admin, data=data).status == 202
    here.system.database.ledger.settle(here.claim(), Outcome(State.FAILED, "it is not there", code="not-there"))
    return newest(here)


def newest(here: Site) -> str:
    (letter,) = here.system.database.dead_letters.list(resolved=False, limit=1, before=None)
    return letter.dead_letter_id


def message(service: str, kind: str, data: dict[str, Any], source: str = "/platform") -> dict[str, Any]:
    subject = f"tenant/acme/service/{service}"
    return {
        "specversion": "1.0", "id": f"m-{service}", "source": source, "type": f"backstay.{kind}.v1",
        "subject": subject, "data": data,
    }  # fmt: skip


def refused(here: Site, service: str) -> str:
    """The dead letter of a message that was never accepted."""
    event = message(service, "create-snapshot", {"labels": "none"})
    rejected = Rejected(
        json.dumps(event).encode(), "invalid", "labels: must be a list", "/platform", event["id"],
        "create-snapshot", event["subject"],
    )  # fmt: skip
    here.system.database.inbox.accept([rejected])
    return newest(here)


def edited(here: Site, letter: str, token: str, text: Any) -> list[Reply]:
    """The letter corrected by the API and on its page."""
    both = {"text": json.dumps(text), "reason": "a test"}
    return [
        here.ask("POST", f"/api/v1/dead-letters/{letter}/edit", token, data=both),
        here.ask("POST", f"/dead-letters/{letter}/edit", token, form=both),
    ]


#: By the API, and on the page, whose form then comes again.
REFUSED = [(403, True), (422, True)]


def is_waiting(here: Site, letter: str) -> bool:
    found = here.system.database.dead_letters.get(letter)
    return found is not None and found.resolution is None


def test_a_restore_is_not_edited_into_one_elsewhere_by_who_may_not_restore_there(here: Site) -> None:
    """I26."""
    letter = failed(here, "shop", "restore-snapshot", {"snapshot_id": SNAP})
    admin = here.token("placer", acme="admin")
    asked = edited(here, letter, admin, ELSEWHERE)
    assert [(reply.status, "snapshots.place" in reply.text) for reply in asked] == REFUSED
    assert is_waiting(here, letter)
    assert edited(here, letter, here.token("root", everywhere="admin"), ELSEWHERE)[0].status == 202


def test_a_raw_message_is_not_edited_into_what_takes_a_role_everywhere_or_into_another_s(here: Site) -> None:
    """I26."""
    letter, admin = refused(here, "raw"), here.token("editor", acme="admin")
    register = message("raw", "register-service", {"directory": "other/place"})
    asked = edited(here, letter, admin, register)
    assert [(reply.status, "services.register" in reply.text) for reply in asked] == REFUSED
    asked = edited(here, letter, admin, message("raw", "create-snapshot", {}, "/backstay/api/root"))
    assert [(reply.status, "the source of a message is /platform" in reply.text) for reply in asked] == REFUSED
    assert is_waiting(here, letter)
    assert edited(here, letter, admin, message("raw", "create-snapshot", {}))[0].status == 202


def test_replaying_takes_what_the_command_itself_takes(here: Site) -> None:
    """One by one, by id in a list, by a filter, and on pages."""
    letter = failed(here, "gone", "delete-snapshot", {"snapshot_id": SNAP})
    operator, admin = here.token("replayer", acme="operator"), here.token("deleter", acme="admin")
    kept = here.system.database.dead_letters.get(letter)
    assert kept is not None
    insist, wanted = {"include": ["dangerous"]}, {"include": ["dangerous"], "reason": "a test"}
    form = {"ids": letter, "tenant": "acme", "reason": "a test"}
    for reply in (
        here.ask("POST", f"/api/v1/dead-letters/{letter}/replay", operator, data=insist),
        here.ask("POST", "/api/v1/replays", operator, data=wanted | {"dead_letter_ids": [letter]}),
        here.ask("POST", "/api/v1/replays", operator, data=wanted | {"tenant_id": "acme", "kind": "delete-snapshot"}),
        here.ask("POST", f"/dead-letters/{letter}/replay", operator, form={"insist": "dangerous"}),
    ):
        assert (reply.status, "snapshots.delete" in reply.text) == (403, True), reply.text
    page = here.ask("POST", f"/dead-letters/groups/{kept.fingerprint}/replay", operator, form=form)
    assert (page.status, "a command that you may give" in page.text) == (422, True), page.text
    offer = f'action="/dead-letters/{letter}/replay"'
    assert [offer in here.ask("GET", f"/dead-letters/{letter}", who).text for who in (operator, admin)] == [False, True]
    assert is_waiting(here, letter) and here.system.database.replays.list(10) == []
    begun = here.ask("POST", "/api/v1/replays", admin, data=wanted | {"dead_letter_ids": [letter]})
    assert (begun.status, begun.document["letters"]) == (202, 1)
    reply = here.ask("POST", f"/api/v1/dead-letters/{letter}/replay", admin, data=insist)
    assert reply.document["replayed_now"] is True


def test_a_letter_that_cannot_be_opened_is_named_and_its_page_says_so(here: Site) -> None:
    """Nobody knows what running it takes; whoever may give every command is told by the replay itself."""
    letter = failed(here, "torn", "create-snapshot", {})
    with here.system.database._engine.begin() as connection:
        connection.execute(update(operation).values(data=b"garbage"))
    operator = here.token("replayer", acme="operator")
    reply = here.ask("POST", "/api/v1/replays", operator, data={"dead_letter_ids": [letter], "reason": "a test"})
    assert reply.status == 409 and f"{letter} cannot be opened" in reply.text, reply.text
    page = here.ask("GET", f"/dead-letters/{letter}", operator)
    assert page.status == 200 and "cannot be opened" in page.text


def test_a_message_whose_subject_is_wrong_behind_its_tenant_is_that_tenant_s(here: Site) -> None:
    """What is listed can be opened and put aside; what is not cannot."""
    for number, subject in enumerate(("tenant/acme/services/web", "tenant/Acme/service/web", "tenant/acme", None)):
        rejected = Rejected(b"%d" % number, "invalid", f"subject {number}", "/platform", subject=subject)
        here.system.database.inbox.accept([rejected])
    operator, path = here.token("own", acme="operator"), "/api/v1/dead-letters"
    (listed,) = here.ask("GET", path, operator).document["dead_letters"]
    (group,) = here.ask("GET", f"{path}/groups", operator).document["groups"]
    assert (listed["sentence"], group["letters"], group["newest_id"]) == ("subject 0", 1, listed["dead_letter_id"])
    assert here.ask("GET", f"{path}/{listed['dead_letter_id']}", operator).status == 200
    for letter in here.system.database.dead_letters.list(resolved=False, limit=9, before=None):
        status = 200 if letter.dead_letter_id == listed["dead_letter_id"] else 404
        reply = here.ask("POST", f"{path}/{letter.dead_letter_id}/discard", operator, data={"reason": "a typo"})
        assert reply.status == status, letter.subject
    assert here.ask("GET", path, operator).document["dead_letters"] == []
    (entry,) = here.system.database.audit.list(action="dead-letter.discard")
    assert entry.tenant_id == "acme"


def test_what_would_not_be_safe_says_how_one_insists_whichever_way_one_came(here: Site) -> None:
    letter = failed(here, "back", "restore-snapshot", {"snapshot_id": SNAP})
    reply = here.ask("POST", f"/api/v1/dead-letters/{letter}/replay", here.token("op", acme="operator"), data={})
    assert reply.document["code"] == "not-safe"
    assert reply.document["next_step"] == "discard it, or insist: name dangerous in `include` (--include dangerous)"


def test_pages_of_several_tenants_follow_the_list_and_not_the_ids(here: Site) -> None:
    """An id has the time of its node's clock, and clocks differ."""
    for number, tenant in enumerate(("acme", "umbrella", "acme")):
        subject = f"tenant/{tenant}/service/s{number}"
        here.system.database.inbox.accept([Rejected(b"%d" % number, "invalid", "no", "/platform", subject=subject)])
    ids = [f"0192f0c1-0000-7000-8000-00000000000{number}" for number in (3, 1, 2)]
    with here.system.database._engine.begin() as connection:
        for seq, dead_letter_id in enumerate(ids, 1):
            connection.execute(
                update(dead_letter).where(dead_letter.c.seq == seq).values(dead_letter_id=dead_letter_id)
            )
    token, seen, path = here.token("both", acme="viewer", umbrella="viewer"), [], "/api/v1/dead-letters?limit=1"
    page = here.ask("GET", path, token).document
    while page["dead_letters"]:
        seen += [one["dead_letter_id"] for one in page["dead_letters"]]
        page = here.ask("GET", f"{path}&before={seen[-1]}", token).document
    assert seen == ids[::-1]
