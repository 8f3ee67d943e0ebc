"""Making, changing and removing schedules on pages: what is a mistake, who may, and what is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from domain.outcome import Outcome
from domain.schedule import Schedule
from domain.schedule_changes import SaveSchedule
from tests.integration.test_console import Person
from tests.integration.test_console_forms import fault
from tests.site import Reply, Site, site

GOOD = {"tenant": "acme", "name": "weekly", "kind": "create-snapshot", "cron": "@weekly", "zone": "UTC"}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With two schedules of acme: `nightly`, and `prune`, which asks for what takes an admin."""
    with site(tmp_path_factory.mktemp("schedules") / "data") as made:
        path = "/api/v1/tenants/acme/services/web/create-snapshot"
        assert made.ask("POST", path, made.token("api", everywhere="admin"), data={}).status == 202
        nightly = Schedule("acme", "nightly", "create-snapshot", "30 2 * * *", zone="Europe/Berlin", next_at=1)
        prune = Schedule("acme", "prune", "apply-retention", "0 4 * * *", next_at=1)
        changes = (SaveSchedule(nightly), SaveSchedule(prune))
        made.system.database.ledger.settle(made.claim(), Outcome.succeeded("done", changes=changes))
        yield made


@pytest.fixture(scope="module")
def anna(here: Site) -> Person:
    return Person(here, "operator")


def sent(person: Person, path: str = "/schedules/new", **form: str) -> Reply:
    return person.send(path, **{"at": path, "message_id": "m-1", **GOOD, **form})


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("cron", "61 * * * *", "cannot be read"),
        ("cron", "", "five fields"),
        ("zone", "Europe/Berlun", "No time zone"),
        ("name", "Nightly!", "must match"),
        ("name", "nightly", "already"),
        ("service", "nobody", "no service"),
        ("jitter", "soon", "span"),
        ("jitter", "2d", "A day at most"),
        ("data", "{", "JSON"),
        ("data", "@/etc/passwd", "JSON"),
        ("data", '{"labells": []}', "labells"),
        ("kind", "delete-snapshot", "Choose"),
        ("catch_up", "perhaps", "none"),
    ],
)
def test_a_mistake_is_told_at_its_field(here: Site, anna: Person, field: str, value: str, told: str) -> None:
    before = here.system.database.inbox.backlog()
    answer = sent(anna, **{field: value})
    assert answer.status == 422 and told in fault(answer.text)
    marked = re.search(r'<(?:input|select|textarea)[^>]* name="(\w+)"[^>]*aria-invalid="true"', answer.text)
    assert marked is not None and marked[1] == field
    assert here.system.database.inbox.backlog() == before


def test_the_times_that_would_come_are_shown_and_nothing_is_written_down(here: Site, anna: Person) -> None:
    before = here.system.database.inbox.backlog()
    answer = sent(anna, cron="0 0 1 1 *", look="true")
    assert answer.status == 200 and answer.text.count("-01-01 00:00") == 5
    assert 'value="0 0 1 1 *"' in answer.text and 'value="weekly"' in answer.text
    assert here.system.database.inbox.backlog() == before


def test_the_form_of_a_schedule_has_what_it_is(anna: Person) -> None:
    page = anna.get("/schedules/acme/nightly/change").text
    assert 'value="30 2 * * *"' in page and 'value="Europe/Berlin"' in page and 'name="tenant"' not in page


@pytest.mark.parametrize("path", ["/schedules/new", "/schedules/acme/nightly/change", "/schedules/acme/nightly/remove"])
def test_a_viewer_makes_changes_and_removes_none(here: Site, path: str) -> None:
    looking = Person(here, "viewer", f"viewer.{path.rpartition('/')[2]}")
    assert sent(looking, path, typed="nightly").status == 403
    if not path.endswith("remove"):
        assert looking.get(path).status == 403


def test_an_operator_of_a_tenant_makes_one_there_only(here: Site) -> None:
    token = here.token("of-acme", acme="operator")
    assert "<option selected>acme</option>" in here.ask("GET", "/schedules/new", token).text
    assert here.ask("GET", "/schedules/new?tenant=umbrella", token).status == 403
    form = {"message_id": "m-2", **GOOD}
    assert here.ask("POST", "/schedules/new", token, form=form | {"tenant": "umbrella"}).status == 403
    assert here.ask("POST", "/schedules/new", token, form=form | {"kind": "apply-retention"}).status == 403
    assert here.ask("POST", "/schedules/new", token, form=form).status == 303
    [entry] = here.system.database.audit.list(action="set-schedule")
    assert (entry.actor, entry.subject) == ("of-acme", "tenant/acme/service/weekly")


def test_a_schedule_is_changed_by_whoever_may_make_one_of_its_kind(here: Site, anna: Person) -> None:
    """The form of an operator has no `apply-retention` to choose: sent off, it would take snapshots instead."""
    path = "/schedules/acme/prune/change"
    assert path not in anna.get("/schedules/acme/prune").text and "Pause it" in anna.get("/schedules/acme/prune").text
    assert anna.get(path).status == 403
    before = here.system.database.inbox.backlog()
    assert sent(anna, path, look="true").status == 403 and sent(anna, path).status == 403
    assert here.system.database.inbox.backlog() == before
    root = Person(here, "admin")
    assert path in root.get("/schedules/acme/prune").text
    assert '<option value="apply-retention" selected>' in root.get(path).text


def test_removing_wants_the_name(anna: Person) -> None:
    path = "/schedules/acme/nightly/remove"
    wrong = anna.send(path, at="/schedules/acme/nightly", message_id="m-3", typed="weekly", reason="over")
    assert wrong.status == 422 and "type its name" in fault(wrong.text)
    assert anna.send(path, at="/schedules/acme/nightly", message_id="m-3", typed="nightly").status == 303


def test_a_pause_wants_a_reason_and_a_time_to_come(anna: Person) -> None:
    path, at = "/schedules/acme/nightly/pause", "/schedules/acme/nightly"
    assert "say why" in fault(anna.send(path, at=at, message_id="m-4").text).lower()
    past = anna.send(path, at=at, message_id="m-4", reason="x", until="2020-01-01T00:00")
    assert past.status == 422 and "passed" in fault(past.text) and 'value="2020-01-01T00:00"' in past.text
    assert anna.send(path, at=at, message_id="m-4", reason="x", until="soon").status == 422
