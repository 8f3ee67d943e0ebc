"""Tokens on a page: for admins of every tenant only, shown once, kept nowhere, and a mistake makes none."""

from __future__ import annotations

import re

import pytest

from tests.integration.test_console import Person, an_admin
from tests.integration.test_console_forms import fault
from tests.site import Site, site_of_a_file

here = pytest.fixture(scope="module")(site_of_a_file)
root = pytest.fixture(scope="module")(an_admin)


def test_a_token_is_shown_once_and_opens_what_was_said(here: Site, root: Person) -> None:
    answer = root.send("/tokens", at="/tokens", name="anna", roles="viewer:acme operator:umbrella", days="7")
    found = re.search(r'<code id="token">(bks_[\w-]+)</code>', answer.text)
    assert answer.status == 200 and found is not None and answer.headers["cache-control"] == "no-store"
    assert found[1] not in root.get("/tokens").text
    assert here.ask("GET", "/api/v1/operations?tenant=acme", found[1]).status == 200
    assert here.ask("GET", "/api/v1/operations?tenant=other", found[1]).status == 403
    [entry] = [one for one in here.system.database.audit.list(action="token.create") if one.detail["name"] == "anna"]
    assert (entry.actor, entry.way) == ("admin", "console") and found[1] not in str(entry)
    again = root.send("/tokens", at="/tokens", name="anna", roles="viewer:acme operator:umbrella", days="7")
    assert again.status == 409 and "bks_" not in again.text and "already" in fault(again.text)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("name", "Anna!", "must be of"),
        ("roles", "", "at least one"),
        ("roles", "boss", "none of"),
        ("roles", "viewer:Acme!", "must match"),
        ("roles", "viewer:acme admin:acme", "twice"),
        ("days", "0", "whole number"),
        ("days", "1.5", "whole number"),
    ],
)
def test_a_mistake_is_told_at_its_field_and_makes_no_token(
    here: Site, root: Person, field: str, value: str, told: str
) -> None:
    before = here.system.database.tokens.list()
    form = {"name": "mia", "roles": "viewer", "days": "", field: value}
    answer = root.send("/tokens", at="/tokens", **form)
    assert answer.status == 422 and told in fault(answer.text) and "bks_" not in answer.text
    marked = re.search(r'<input[^>]* name="(\w+)"[^>]*aria-invalid="true"', answer.text)
    assert marked is not None and marked[1] == field
    assert [one.token_id for one in here.system.database.tokens.list()] == [one.token_id for one in before]


def test_revoking_wants_the_name_and_ends_the_sessions(here: Site, root: Person) -> None:
    gone = Person(here, "viewer", "gone")
    [token] = [one for one in here.system.database.tokens.list() if one.name == "gone"]
    path = f"/tokens/{token.token_id}/revoke"
    assert "type its name" in fault(root.send(path, at="/tokens", typed="anna").text)
    assert gone.get("/operations").status == 200
    assert root.send(path, at="/tokens", typed="gone").status == 303
    assert gone.get("/operations").status == 303, "signed out"
    assert root.send("/tokens/none/revoke", at="/tokens", typed="x").status == 404


@pytest.mark.parametrize("roles", [{"everywhere": "operator"}, {"acme": "admin"}])
def test_nobody_else_sees_makes_or_ends_one(here: Site, roles: dict[str, str]) -> None:
    name = f"not-root-{next(iter(roles))}"
    token = here.token(name, **roles)
    before = here.system.database.tokens.list()
    assert here.ask("GET", "/tokens", token).status == 403
    assert here.ask("POST", "/tokens", token, form={"name": "mine", "roles": "admin"}).status == 403
    assert here.ask("POST", f"/tokens/{before[0].token_id}/revoke", token, form={"typed": name}).status == 403
    assert [(one.token_id, one.revoked_at) for one in here.system.database.tokens.list()] == [
        (one.token_id, one.revoked_at) for one in before
    ]
    assert 'href="/tokens"' not in here.ask("GET", "/", token).text
