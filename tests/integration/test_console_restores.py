"""Restoring on pages: what a dry run has looked at is what is restored after it, and nothing wider."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

import pytest

from domain.outcome import AddSnapshot, Outcome, SaveService
from domain.service import Service
from tests.contract.sql_bench import snapshot
from tests.integration.test_console import Person
from tests.integration.test_web_tenants import SNAPSHOT
from tests.site import Site, site

OTHER = "0192f0c1-0000-7000-8000-000000000002"
PARTS = ("configuration", "data")


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With two snapshots of the services web and blog."""
    with site(tmp_path_factory.mktemp("restores") / "data") as made:
        path = "/api/v1/tenants/acme/services/web/create-snapshot"
        assert made.ask("POST", path, made.token("api", everywhere="admin"), data={}).status == 202
        services = [
            Service(service_id=name, tenant_id="acme", alias=name, directory=name, node="n1")
            for name in ("web", "blog")
        ]
        changes = [SaveService(service) for service in services]
        kept = [AddSnapshot(snapshot(name, include=PARTS)) for name in (SNAPSHOT, OTHER)]
        made.system.database.ledger.settle(made.claim(), Outcome.succeeded("done", changes=(*changes, *kept)))
        yield made


@pytest.fixture(scope="module")
def anna(here: Site) -> Person:
    return Person(here, "operator")


def ended(here: Site, operation_id: str) -> str:
    """The dry run comes to its end, as a worker's would; its id."""
    claim = here.claim()
    assert claim.operation.op_id == operation_id
    here.system.database.ledger.settle(claim, Outcome.succeeded("would", dry_run=True, restored=1, deleted=0))
    return operation_id


def dry_run(here: Site, person: Person, key: str, **form: str) -> str:
    """One is asked for on the page and has ended; its id."""
    given = {"message_id": key, "service": "web", "mode": "replace", "include": "data", **form}
    answer = person.send(f"/snapshots/{SNAPSHOT}/restore/dry-run", **given)
    assert answer.status == 303, answer.text
    return ended(here, re.search(r"dry=([0-9a-f-]+)", answer.headers["location"])[1])  # type: ignore[index]


def offered(person: Person, operation_id: str) -> str:
    """Where the page of a dry run leads to; "" when it leads to no restore."""
    found = re.search(r'href="([^"]*)">Restore it so<', person.get(f"/operations/{operation_id}").text)
    return html.unescape(found[1]) if found else ""


def restored(here: Site, person: Person, address: str) -> dict[str, Any]:
    """The data of the command that the last page sends."""
    page = person.get(address).text
    form = page[page.index(f'action="/snapshots/{SNAPSHOT}/restore"') :]
    fields = {
        name: html.unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    }
    answer = person.send(f"/snapshots/{SNAPSHOT}/restore", **fields | {"typed": fields["service"]})
    assert answer.status == 303, answer.text
    claim = here.claim()
    here.system.database.ledger.settle(claim, Outcome.succeeded("done"))
    return claim.operation.data


@pytest.mark.parametrize(
    ("form", "asked"),
    [
        ({"paths": "uploads/2026\n a b "}, {"paths": ["uploads/2026", "a b"]}),
        ({"clone": "true"}, {"profile": "clone"}),
        ({"mode": "merge", "verify": "true"}, {"mode": "merge", "verify": True}),
    ],
)
def test_restore_it_so_restores_what_the_dry_run_looked_at(
    here: Site, anna: Person, form: dict[str, str], asked: dict[str, Any]
) -> None:
    address = offered(anna, dry_run(here, anna, f"dry-{sorted(form)}", **form))
    wanted = {"snapshot_id": SNAPSHOT, "mode": "replace", "include": ["data"], **asked}
    assert restored(here, anna, address) == wanted


@pytest.mark.parametrize("data", [{"paths": ["a\nb"]}, {"target": {"directory": "copy"}}])
def test_what_the_pages_cannot_ask_for_they_do_not_offer(here: Site, anna: Person, data: dict[str, Any]) -> None:
    """A name with a line break in it, and a copy elsewhere."""
    path = "/api/v1/tenants/acme/services/web/restore-snapshot"
    sent = {"snapshot_id": SNAPSHOT, "dry_run": True, **data}
    answer = here.ask("POST", path, here.token(f"of-{sorted(data)}", everywhere="admin"), data=sent)
    assert answer.status == 202, answer.text
    assert offered(anna, ended(here, answer.document["operation_id"])) == ""


@pytest.mark.parametrize(
    ("changed", "by"),
    [
        (SNAPSHOT, OTHER),
        ("service=web", "service=blog"),
        ("mode=replace", "mode=merge"),
        ("paths=uploads", "paths=upload"),
        ("&paths=uploads", ""),
        ("&paths=uploads", "&paths=uploads&clone=true"),
    ],
)
def test_a_dry_run_of_something_else_is_refused(here: Site, anna: Person, changed: str, by: str) -> None:
    address = offered(anna, dry_run(here, anna, f"other-{changed}-{by}", paths="uploads"))
    assert anna.get(address).status == 200
    answer = anna.get(address.replace(changed, by, 1))
    assert answer.status == 409 and "no dry run of what is chosen" in answer.text


def test_an_operation_that_is_no_dry_run_is_none(here: Site, anna: Person) -> None:
    [taken] = here.system.database.list_operations(kinds=["create-snapshot"], limit=1)
    assert anna.get(f"/snapshots/{SNAPSHOT}/restore?dry={taken.op_id}").status == 409


def test_where_the_directory_is_not_restored_there_is_no_dry_run_and_the_page_says_why(
    here: Site, anna: Person
) -> None:
    before = here.system.database.inbox.backlog()
    form = {"message_id": "no-data", "service": "web", "include": "configuration"}
    answer = anna.send(f"/snapshots/{SNAPSHOT}/restore/dry-run", **form)
    assert answer.status == 303 and here.system.database.inbox.backlog() == before
    page = anna.get(answer.headers["location"]).text
    assert "There is no dry run of that" in page and "Restore now" in page
    assert "<dt>parts</dt><dd>configuration</dd>" in page and "takes its place in one step" not in page


def test_a_dry_run_of_more_than_the_directory_says_what_it_has_not_looked_at(here: Site, anna: Person) -> None:
    whole = here.ask(
        "POST", "/api/v1/tenants/acme/services/web/restore-snapshot", here.token("whole", everywhere="operator"),
        data={"snapshot_id": SNAPSHOT, "dry_run": True},
    )  # fmt: skip
    page = anna.get(offered(anna, ended(here, whole.document["operation_id"]))).text
    assert "of the directory only: configuration is restored as well, and has not been looked at" in page
    assert "<dt>parts</dt><dd>data, configuration</dd>" in page


def test_of_some_paths_the_last_page_names_the_part_that_they_are_of(here: Site, anna: Person) -> None:
    page = anna.get(f"/snapshots/{SNAPSHOT}/restore?paths=uploads&sure=true").text
    assert "<dt>parts</dt><dd>data</dd>" in page and "Everything but these paths stays" in page
