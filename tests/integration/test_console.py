"""The operators' console over HTTP, without a browser: an empty installation, errors, files, a session's commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.site import Reply, Site, site

PAGES = {
    "/": "Nothing needs you",
    "/operations": "No operations yet",
    "/services": "No service is registered",
    "/snapshots": "No snapshots yet",
    "/dead-letters": "No dead letters wait",
    "/schedules": "No schedule",
    "/nodes": "No node has run a worker yet",
    "/audit": "Audit trail",
}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "data") as made:
        yield made


class Person:
    """Somebody who is signed in with a browser."""

    def __init__(self, here: Site, role: str, name: str = "") -> None:
        self._site = here
        answer = here.ask("POST", "/login", form={"token": here.token(name or role, everywhere=role)})
        self._cookie = answer.cookies[0].partition(";")[0]
        self.csrf = re.search(r'name="csrf" value="([^"]+)"', self.get("/").text)[1]  # type: ignore[index]

    def get(self, path: str) -> Reply:
        return self._site.ask("GET", path, cookie=self._cookie, accept="text/html")

    def send(self, path: str, **form: str) -> Reply:
        given = {"csrf": self.csrf, **form}
        return self._site.ask("POST", path, form=given, cookie=self._cookie, accept="text/html")


def an_admin(here: Site) -> Person:
    """The body of a fixture: whoever may do everything."""
    return Person(here, "admin")


def test_whoever_looks_after_two_tenants_chooses_one_and_keeps_it(here: Site) -> None:
    both = here.token("both", acme="viewer", umbrella="viewer")
    first = here.ask("GET", "/", both).text
    assert "<option selected>acme</option><option>umbrella</option>" in first
    second = here.ask("GET", "/?tenant=umbrella", both).text
    assert 'data-refresh="/?part=now&amp;tenant=umbrella"' in second
    assert here.ask("GET", "/?tenant=other", both).status == 403


@pytest.mark.parametrize("path", PAGES)
def test_an_empty_installation_says_what_to_do_first(here: Site, path: str) -> None:
    answer = Person(here, "admin").get(path)
    assert answer.status == 200 and PAGES[path] in answer.text


def test_a_command_from_a_page_is_in_the_inbox_and_in_the_audit_trail_once(here: Site) -> None:
    anna = Person(here, "operator")
    path, form = "/schedules/acme/nightly/pause", {"message_id": "form-1", "reason": "x"}
    assert anna.send(path, **form).status == 404, "there is no such schedule"
    data = {"directory": "web", "node": "n1"}
    admin = here.token("root", everywhere="admin")
    assert here.ask("POST", "/api/v1/tenants/acme/services/web/register-service", admin, data=data).status == 202
    claim = here.claim()
    service = Service(service_id="web", tenant_id="acme", alias="web", directory="web", node="n1")
    here.system.database.ledger.settle(claim, Outcome.succeeded("done", changes=(SaveService(service),)))
    first, second = (anna.send("/services/web/snapshot", message_id="form-2", labels="a:b") for _ in range(2))
    assert (first.status, second.status) == (303, 303)
    assert first.headers["location"].partition("?")[0] == second.headers["location"].partition("?")[0]
    [entry] = here.system.database.audit.list(action="create-snapshot")
    assert (entry.actor, entry.way, entry.subject) == ("operator", "console", "tenant/acme/service/web")


def test_an_error_is_a_page_for_a_browser_and_a_problem_document_for_a_program(here: Site) -> None:
    page = Person(here, "viewer").get("/operations/nothing")
    assert page.status == 404 and "There is nothing here" in page.text and "<script>" not in page.text
    document = here.ask("GET", "/operations/nothing", here.token("program", everywhere="viewer"))
    assert document.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/console.html", "/static/"])
def test_only_the_files_of_the_console_are_served(here: Site, path: str) -> None:
    assert here.ask("GET", path).status == 404


def test_files_are_served_without_a_login_and_may_be_kept(here: Site) -> None:
    address = re.search(r'href="(/static/console\.css\?v=[0-9a-f]{12})"', here.ask("GET", "/login").text)
    assert address is not None
    answer = here.ask("GET", address[1])
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/css")
    assert "immutable" in answer.headers["cache-control"]


def test_an_address_puts_no_words_of_its_own_on_a_page(here: Site) -> None:
    anna = Person(here, "viewer")
    assert "pay+now" not in anna.get("/operations?told=pay+now").text
    assert "pay now" not in anna.get("/?told=pay%20now").text
