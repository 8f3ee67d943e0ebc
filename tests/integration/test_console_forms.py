"""A mistake in a form of the console: the page with the form answers, as it was sent, and nothing was done."""

from __future__ import annotations

import asyncio
import gc
import http.client
import re
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from starlette.types import Message, Receive, Scope, Send

from domain.errors import DatabaseUnavailable
from domain.outcome import AddSnapshot, Outcome, SaveExport, SaveService
from domain.service import Service
from domain.snapshot import Export
from tests.contract.sql_bench import snapshot
from tests.integration.test_console import Person
from tests.integration.test_web_tenants import SNAPSHOT
from tests.site import Site, site
from workers.serving import downloads_of
from workers.web.pages.again import form_again
from workers.web.problems import Problem

#: A time that is not over while this is tested: the year 2100.
FAR = 4_102_444_800_000


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "data") as made:
        path = "/api/v1/tenants/acme/services/web/create-snapshot"
        assert made.ask("POST", path, made.token("api", everywhere="admin"), data={}).status == 202
        service = Service(service_id="web", tenant_id="acme", alias="web", directory="web", node="n1")
        made.system.database.ledger.settle(made.claim(), Outcome.succeeded("done", changes=(SaveService(service),)))
        yield made


@pytest.fixture
def exported(tmp_path: Path) -> Iterator[tuple[Site, str]]:
    """A site of its own, and a signed address of an archive there."""
    with site(tmp_path / "own", own=True) as made:
        path = "/api/v1/tenants/acme/services/web/create-snapshot"
        assert made.ask("POST", path, made.token("api", everywhere="admin"), data={}).status == 202
        archive = Export(SNAPSHOT, "acme", "tenants/acme/exports/x", 4_000_000, "aa", FAR)
        made.system.store.put(archive.object_key, [bytes(archive.bytes)])
        changes = (AddSnapshot(snapshot(SNAPSHOT)), SaveExport(archive))
        made.system.database.ledger.settle(made.claim(), Outcome.succeeded("done", changes=changes))
        yield made, downloads_of(made.system).address("", archive, 3600)


def fault(text: str) -> str:
    found = re.search(r'role="alert"[^>]*>(?:<strong>)?([^<]+)', text)
    assert found is not None, text[:2000]
    return found[1]


def test_a_mistake_is_told_at_its_field_on_the_same_page_and_the_input_is_kept(here: Site) -> None:
    anna = Person(here, "operator")
    answer = anna.send("/services/web/snapshot", at="/services/web", message_id="m-1", labels="no colon")
    assert answer.status == 422
    assert "<h1>web</h1>" in answer.text and ">\nno colon</textarea>" in answer.text
    assert "label" in fault(answer.text)
    assert here.system.database.find_by_message("/console/operator", "m-1") is None


def test_the_form_that_is_shown_again_can_be_put_right_and_sent(here: Site) -> None:
    anna = Person(here, "operator")
    wrong = anna.send("/services/web/snapshot", at="/services/web?told=sent", message_id="m-1", labels="no colon").text
    form = wrong[wrong.index('action="/services/web/snapshot"') :]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)[:3])
    assert fields["at"] == "/services/web" and fields["message_id"] != "m-1"
    assert anna.send("/services/web/snapshot", **fields | {"labels": "a:b"}).status == 303


@pytest.mark.parametrize(
    "at", ["", "//elsewhere.example/services/web", "https://elsewhere.example", "/api/v1/services", "/operations/none"]
)
def test_only_a_page_of_ours_that_has_the_form_can_show_it_again(here: Site, at: str) -> None:
    answer = Person(here, "operator").send("/services/web/snapshot", at=at, message_id="m-1", labels="no colon")
    assert answer.status == 422 and "Something in it is not right" in answer.text


def test_whoever_may_not_do_it_is_told_so_and_not_shown_the_form_again(here: Site) -> None:
    answer = Person(here, "viewer").send("/services/web/snapshot", at="/services/web", message_id="m-1", labels="x")
    assert answer.status == 403 and "You may not do that" in answer.text


def test_a_forged_form_is_not_shown_again(here: Site) -> None:
    answer = Person(here, "operator").send("/services/web/snapshot", csrf="forged", at="/services/web", labels="x")
    assert answer.status == 403 and "<textarea" not in answer.text


def test_what_is_missing_is_told_at_each_field(here: Site) -> None:
    answer = Person(here, "operator").send("/services/web/snapshot", at="/services/web", labels="a:b")
    assert answer.status == 422 and "ust be given" in fault(answer.text), "the message's id is missing"


def test_a_program_still_gets_a_problem_document(here: Site) -> None:
    token = here.token("program", everywhere="operator")
    form = {"at": "/services/web", "message_id": "m-1", "labels": "no colon"}
    answer = here.ask("POST", "/services/web/snapshot", token, form=form)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.document["field"].startswith("data.labels")


def test_forgetting_a_node_takes_an_admin_also_on_a_page(here: Site) -> None:
    answer = Person(here, "operator").send("/nodes/n9/forget", typed="n9", reason="gone")
    assert answer.status == 403 and "nodes.forget" in answer.text


@pytest.mark.parametrize(
    ("role", "status"),
    [({"acme": "admin"}, 403), ({"everywhere": "viewer"}, 403), ({"everywhere": "operator"}, 409)],
)
def test_giving_an_operation_up_takes_the_same_role_and_a_reason_on_a_page_and_over_the_api(
    here: Site, role: dict[str, str], status: int
) -> None:
    """It is refused in the end, because it has ended."""
    [one] = here.system.database.list_operations(limit=9)
    token, form = here.token("giver", **role), {"typed": "web", "reason": "it burnt"}
    page, api = f"/operations/{one.op_id}/give-up", f"/api/v1/operations/{one.op_id}/give-up"
    assert here.ask("POST", page, token, form=form).status == status
    assert here.ask("POST", api, token, data={"reason": "it burnt"}).status == status
    silent = 422 if status == 409 else status
    assert here.ask("POST", page, token, form=form | {"reason": " "}).status == silent
    assert here.ask("POST", api, token, data={"reason": ""}).status == 422


@pytest.mark.parametrize("first", ["/exports/", "/%65xports/", "/exports%2f"])
def test_a_form_that_says_it_stands_on_an_archive_gets_a_plain_error_and_the_server_goes_on(
    exported: tuple[Site, str], first: str
) -> None:
    here, address = exported
    assert here.ask("HEAD", address).status == 200, "or the address would be refused for another reason"
    answer = Person(here, "viewer").send("/services/web/snapshot", at=address.replace("/exports/", first))
    assert answer.status == 422 and "Something in it is not right" in answer.text
    assert here.ask("GET", "/livez").status == 200


def test_nor_does_it_take_a_session_to_be_refused_that(exported: tuple[Site, str]) -> None:
    here, address = exported
    parts = f'--b\r\ncontent-disposition: form-data; name="at"\r\n\r\n{address}\r\n--b\r\n'
    parts += 'content-disposition: form-data; name="token"; filename="x"\r\n\r\nx\r\n--b--\r\n'
    connection = http.client.HTTPConnection(here.address, timeout=60)
    headers = {"accept": "text/html", "content-type": "multipart/form-data; boundary=b"}
    connection.request("POST", "/login", parts, headers)
    assert connection.getresponse().status == 422
    connection.close()
    assert here.ask("GET", "/livez").status == 200


class Piece(bytearray):
    """A part of an answer that somebody may keep."""


@pytest.mark.parametrize("begun", [True, False])
def test_what_is_no_page_is_not_waited_for_and_nothing_of_it_is_kept(begun: bool) -> None:
    """Also should an address of the console come to answer with something else, or with nothing."""
    left: list[weakref.ref[Piece]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert [(await receive())["type"] for _ in range(2)] == ["http.request", "http.disconnect"]
        if begun:
            headers = [(b"content-type", b"application/zstd")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
        piece = Piece(b"x")
        left.append(weakref.ref(piece))
        await send({"type": "http.response.body", "body": piece})
        del piece
        gc.collect()
        assert left[0]() is None, "an archive would fill the memory"

    async def body() -> Message:
        return {"type": "http.request", "body": b"at=/services/web"}

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/services/web", "headers": headers, "app": app}
    assert asyncio.run(form_again(Request(scope, body), Problem(422, "invalid", "no"))) is None
    assert len(left) == 1


def test_after_a_commit_without_an_answer_the_form_that_is_shown_is_still_the_same_command(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command was accepted, and the connection broke before the database could say so: 503."""
    inbox = type(here.system.database.inbox)
    accept = inbox.accept

    def unanswered(self: Any, batch: Any) -> Any:
        accept(self, batch)
        raise DatabaseUnavailable("the connection is closed")

    anna = Person(here, "operator")
    with monkeypatch.context() as patched:
        patched.setattr(inbox, "accept", unanswered)
        unsure = anna.send("/services/web/snapshot", at="/services/web", message_id="m-1", labels="a:b")
    assert unsure.status == 503 and ">\na:b</textarea>" in unsure.text
    form = unsure.text[unsure.text.index('action="/services/web/snapshot"') :]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)[:3])
    assert fields["message_id"] == "m-1"
    again = anna.send("/services/web/snapshot", **fields | {"labels": "a:b"})
    assert again.status == 303 and "told=again" in again.headers["location"]
    assert len(here.system.database.audit.list(action="create-snapshot")) == 2, "the fixture's and this one"


def test_when_no_page_can_be_read_either_it_is_told_how_to_send_the_same_form_again(
    here: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = Person(here, "operator")

    def away(*_given: Any) -> Any:
        raise DatabaseUnavailable("the connection is closed")

    monkeypatch.setattr(type(here.system.database.inbox), "accept", away)
    monkeypatch.setattr(type(here.system.database.services), "get", away)
    answer = anna.send("/services/web/snapshot", at="/services/web", message_id="m-1", labels="a:b")
    assert answer.status == 503 and "Reload this page to send the form again" in answer.text
