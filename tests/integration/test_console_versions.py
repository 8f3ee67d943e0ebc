"""Publishing a version on a page: mistakes at their fields, who may, and nothing of a template on any page."""

from __future__ import annotations

import json
import re

import pytest

from tests.acceptance.shop import template
from tests.integration.test_console import Person, an_admin
from tests.integration.test_console_forms import fault
from tests.site import Site, site_of_a_file

TEMPLATE = json.dumps(template("v2.0"))


here = pytest.fixture(scope="module")(site_of_a_file)
root = pytest.fixture(scope="module")(an_admin)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("owner", "", "must match"),
        ("template", "", "ust be given"),
        ("template", "{", "JSON"),
        ("template", "@/etc/passwd", "JSON"),
        ("template", '{"group_key": "k", "group_version": "v1", "nothing": 1}', "template"),
        ("version", "x" * 65, "64"),
    ],
)
def test_a_mistake_is_told_at_its_field_and_publishes_nothing(
    here: Site, root: Person, field: str, value: str, told: str
) -> None:
    before = here.system.database.inbox.backlog()
    form = {"owner": "acme", "group_key": "app", "version": "v2", "template": TEMPLATE, field: value}
    answer = root.send("/versions", at="/versions", message_id="v-1", **form)
    assert answer.status == 422 and told in fault(answer.text)
    marked = re.search(r'<(?:input|textarea)[^>]* name="(\w+)"[^>]*aria-invalid="true"', answer.text)
    assert marked is not None and marked[1] == field
    assert here.system.database.inbox.backlog() == before


def test_a_template_that_names_neither_key_nor_version_wants_them(root: Person) -> None:
    bare = json.dumps({"services": {}})
    answer = root.send("/versions", at="/versions", message_id="v-1", owner="acme", template=bare)
    assert "names no group_key" in fault(answer.text)


def test_what_is_published_is_the_command_with_the_template_s_own_names(here: Site, root: Person) -> None:
    named = json.dumps(template("v2.0") | {"group_key": "shop", "group_version": "v2.0"})
    form = {"owner": "acme", "template": named}
    first, second = (root.send("/versions", at="/versions", message_id="v-2", **form) for _ in range(2))
    assert (first.status, second.status) == (303, 303)
    assert first.headers["location"].partition("?")[0] == second.headers["location"].partition("?")[0]
    [entry] = here.system.database.audit.list(action="publish-version")
    assert (entry.actor, entry.way, entry.subject) == ("admin", "console", "tenant/acme/service/versions")
    operation = here.system.database.ledger.get(first.headers["location"].partition("?")[0].rpartition("/")[2])
    assert operation is not None and (operation.data["group_key"], operation.data["version"]) == ("shop", "v2.0")


def test_only_an_admin_of_the_tenant_publishes_for_it(here: Site) -> None:
    form = {"message_id": "v-3", "owner": "acme", "group_key": "app", "version": "v9", "template": TEMPLATE}
    operator, other = here.token("op", acme="operator"), here.token("other", umbrella="admin")
    for token in (operator, other):
        assert here.ask("POST", "/versions", token, form=form).status == 403
        assert here.ask("POST", "/versions", token, form=form | {"template": "{"}).status == 403
    assert here.ask("POST", "/versions", other, form=form | {"owner": "public"}).status == 403
    assert "Publish a version" not in here.ask("GET", "/versions", operator).text
    assert here.ask("GET", "/versions?tenant=acme", other).status == 403
    own = here.token("own", acme="admin")
    assert "<option selected>acme</option>" in here.ask("GET", "/versions", own).text
    assert here.ask("POST", "/versions", own, form=form).status == 303
