"""A mistake in a form of the console: the page with the form answers, as it was sent, and nothing was done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.integration.test_console import Person
from tests.site import Site, site


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "data") as made:
        path = "/api/v1/tenants/acme/services/web/create-snapshot"
        assert made.ask("POST", path, made.token("api", everywhere="admin"), data={}).status == 202
        service = Service(service_id="web", tenant_id="acme", alias="web", directory="web", node="n1")
        made.system.database.ledger.settle(made.claim(), Outcome.succeeded("done", changes=(SaveService(service),)))
        yield made


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
