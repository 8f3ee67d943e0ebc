"""Every page of the console in a real Chromium: it opens, fits a phone, can be read in light and dark, by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.acceptance.console import PHONE, Scene

#: Text whose contrast with what is behind it is under 4.5 (3 for large text), as WCAG counts it.
FAINT = """() => {
  const part = (c) => { c /= 255; return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255]; };
  const ground = (element) => { const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    let found = [255, 255, 255];
    for (const [r, g, b, a] of layers.reverse()) found = found.map((c, i) => [r, g, b][i] * a + c * (1 - a));
    return found; };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest(".away, .skip, option, datalist, [hidden]")) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const [one, two] = [light(rgba(style.color)), light(ground(element))];
    const ratio = (Math.max(one, two) + .05) / (Math.min(one, two) + .05);
    if (ratio < (large ? 3 : 4.5)) faint.push(`${node.textContent.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return faint;
}"""
#: What reaches beyond the right edge of the page, if anything makes it wider than the window.
TOO_WIDE = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
  [...document.querySelectorAll("main *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => one.outerHTML.slice(0, 100))"""
#: Tables that reach out of their panel, or over the column beside them.
OUTSIDE = """() => { const right = (one) => one.getBoundingClientRect().right;
  return [...document.querySelectorAll(".panel table")]
  .filter((one) => [".panel", ".columns > *, main"].some((around) => right(one) > right(one.closest(around)) + 1))
  .map((one) => one.outerHTML.slice(0, 100)); }"""
#: Controls without a name that a screen reader could say.
NAMELESS = """() => [...document.querySelectorAll("main a, main button, main input, main select, main textarea")]
  .filter((one) => one.type !== "hidden" && !one.labels?.length && !one.textContent.trim()
    && !one.getAttribute("aria-label") && !one.title)
  .map((one) => one.outerHTML.slice(0, 100))"""
#: Forms that would not come back after a mistake: they do not say on which page they stand.
ASTRAY = """() => [...document.querySelectorAll("main form[method=post]")]
  .filter((one) => one.querySelector("[name=at]")?.value.split("?")[0] !== location.pathname)
  .map((one) => one.outerHTML.slice(0, 100))"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(tmp_path_factory.mktemp("console"))
    try:
        made.play()
        yield made
    finally:
        made.close()


def addresses(scene: Scene) -> dict[str, str]:
    """Every page, by the heading that it must have."""
    letter = scene.database.find_dead_letters(scene.refused.source, scene.refused.message_id)[0]
    return {
        "/": "One operation is stuck",
        "/operations": "Operations",
        f"/operations/{scene.upgraded.op_id}": "upgrade-service",
        f"/operations/{scene.stuck.op_id}": "upgrade-service",
        "/services": "Services",
        f"/services/{scene.shop.web}": scene.shop.alias(scene.shop.web),
        f"/services/{scene.shop.redis}/upgrade?version=v3.0": "Upgrade to v3.0",
        f"/services/{scene.shop.web}/rollback": "Roll back",
        "/versions?tenant=acme": "Versions",
        "/snapshots": "Snapshots",
        f"/snapshots/{scene.snapshot.snapshot_id}": "Snapshot, taken",
        f"/snapshots/{scene.snapshot.snapshot_id}/restore": "Restore service blog",
        f"/snapshots/{scene.snapshot.snapshot_id}/restore?sure=true": "Restore service blog",
        "/dead-letters": "Dead letters",
        "/dead-letters?resolved=true": "Dead letters",
        f"/dead-letters/groups/{letter.fingerprint}": "3 × restore-snapshot",
        f"/dead-letters/{letter.dead_letter_id}": "restore-snapshot",
        f"/dead-letters/{letter.dead_letter_id}?raw=true": "restore-snapshot",
        f"/dead-letters/{letter.dead_letter_id}/edit": "Edit and replay",
        "/schedules": "Schedules",
        "/schedules/acme/nightly": "nightly",
        "/schedules/new": "New schedule",
        "/schedules/acme/nightly/change": "Change schedule nightly",
        "/nodes": "Nodes",
        "/nodes/web-1": "web-1",
        "/tokens": "Tokens",
        "/audit": "Audit trail",
        "/settings": "Settings",
    }


def looked_at(page: Page, address: str, heading: str) -> None:
    answer = page.goto(address)
    assert answer is not None and answer.status == 200, address
    headings = page.locator("h1").all_inner_texts()
    assert len(headings) == 1 and heading in headings[0], (address, headings)
    page.evaluate("for (const one of document.querySelectorAll('main details')) one.open = true")
    assert page.evaluate(FAINT) == [], address
    assert page.evaluate(NAMELESS) == [], address
    assert page.evaluate(TOO_WIDE) == [], address
    assert page.evaluate(ASTRAY) == [], address
    assert page.evaluate(OUTSIDE) == [], address


@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 900)), ("dark", PHONE)])
def test_every_page_opens_and_can_be_read(scene: Scene, scheme: str, size: tuple[int, int]) -> None:
    with scene.looking(size=size, scheme=scheme) as page:
        for address, heading in addresses(scene).items():
            looked_at(page, address, heading)


def test_what_needs_a_person_comes_first_and_leads_to_it(scene: Scene) -> None:
    with scene.looking() as page:
        page.goto("/")
        needs = page.get_by_role("region", name="Needs a person")
        needs.get_by_role("link", name="upgrade-service is stuck").click()
        assert page.url.endswith(scene.stuck.op_id)
        page.get_by_text("What could not be put back").wait_for()
        assert page.locator(".story > li").count() > 10


def test_the_keyboard_is_enough(scene: Scene) -> None:
    with scene.looking() as page:
        page.goto("/operations")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "To the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "state"
        page.keyboard.type("stuck")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.goto("/operations?state=STUCK")
        link = page.get_by_role("link", name="upgrade-service")
        link.focus()
        assert link.evaluate("e => getComputedStyle(e).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/{scene.stuck.op_id}")


def test_the_chosen_theme_stays(scene: Scene) -> None:
    with scene.looking(scheme="light") as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        page.goto("/")
        light = page.evaluate(ground)
        page.get_by_role("button", name="Theme").click()
        assert page.evaluate(ground) != light
        page.goto("/services")
        assert page.evaluate(ground) != light


def test_without_script_everything_is_there(scene: Scene) -> None:
    with scene.looking(script=False) as page:
        page.goto(f"/operations/{scene.stuck.op_id}")
        page.get_by_role("button", name="Try again").wait_for()
        page.goto("/operations?kind=create-snapshot")
        assert page.locator("tbody tr").count() >= 1


@pytest.mark.parametrize(
    ("script", "secure", "shown"),
    [(True, True, [True, True]), (True, False, [True, False]), (False, True, [False] * 2)],
)
def test_no_button_is_shown_that_would_do_nothing(scene: Scene, script: bool, secure: bool, shown: list[bool]) -> None:
    """Copying takes a secure context; both take script."""
    with scene.looking(script=script) as page:
        if not secure:
            page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        page.goto(f"/snapshots/{scene.snapshot.snapshot_id}")
        buttons = page.locator("button[data-theme]"), page.locator("button[data-copy]").first
        assert [button.is_visible() for button in buttons] == shown


def test_a_viewer_is_shown_no_way_to_change_anything(scene: Scene) -> None:
    with scene.looking("viewer") as page:
        for address in addresses(scene):
            if address.startswith(("/audit", "/settings")) or "/restore" in address:
                continue
            page.goto(address.removesuffix("/edit").removesuffix("?raw=true"))
            assert page.locator("main form[method=post]").count() == 0, address
        sections = page.locator(".rail nav a").all_inner_texts()
        assert not {"Settings", "Audit trail"} & set(sections)


def test_a_tenants_caller_sees_that_tenant_only(scene: Scene) -> None:
    scene.platform.run("register-service", {"node": "web-1"}, service="secret-of-umbrella", tenant="umbrella")
    with scene.looking("viewer", "umbrella") as page:
        for address in ("/operations", "/services", "/snapshots", "/dead-letters"):
            page.goto(address)
            assert "blog" not in page.locator("main").inner_text(), address
        assert "Nodes" not in page.locator(".rail nav").inner_text()
        page.goto("/services")
        page.get_by_role("link", name="secret-of-umbrella").wait_for()
        with page.expect_response("**/services/blog") as met:
            page.goto("/services/blog")
        assert met.value.status == 404


def test_what_a_message_says_is_shown_and_never_obeyed(scene: Scene) -> None:
    evil = "<script>document.title='owned'</script>\u202eabc"
    scene.platform.snapshot("blog", f"note:{evil}")
    with scene.looking() as page:
        page.goto("/snapshots?service=blog")
        shown = page.locator(".label", has_text="note:").first.inner_text()
        assert "<script>" in shown and "\u202e" not in shown
        assert page.title() == "Snapshots · Backstay"


def test_ages_are_counted_on_without_asking(scene: Scene) -> None:
    scene.platform.snapshot("blog")
    with scene.looking() as page:
        page.clock.install()
        page.goto("/snapshots")
        age = page.locator("tbody time").first
        before = age.inner_text()
        page.clock.run_for(120_000)
        assert age.inner_text() != before and "2 min" in age.inner_text()
