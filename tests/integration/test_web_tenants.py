"""Tenants apart over HTTP: every route, API and pages, asked by an admin of another tenant who knows all ids.

The routes are read from the application, so that a new one is asked too. What is the owner's is marked in words that
nobody else uses: no answer may hold one, and nothing that is posted may change or begin anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.outcome import AddSnapshot, Outcome, SaveService
from domain.schedule import Schedule
from domain.schedule_changes import SaveSchedule
from domain.service import Service
from domain.snapshot import Label
from tests.contract.sql_bench import snapshot
from tests.site import Site, _served, site

SNAPSHOT = "0192f0c1-0000-7000-8000-000000000001"
#: Words that are only in what the owner has.
MARKS = ("alias-of-the-owner", "label-of-the-owner", "directory-of-the-owner", "outcome-of-the-owner")
#: Routes that tell nothing of a tenant, and need no login.
OPEN = {"/livez", "/readyz", "/metrics", "/login", "/logout", "/static/{name}"}


def _walk(routes: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        below = getattr(route, "original_router", None)
        if below is not None:
            yield from _walk(below.routes, prefix + route.include_context.prefix)
        elif route.path not in OPEN:
            yield from ((method, prefix + route.path) for method in sorted(route.methods - {"HEAD"}))


ROUTES = list(_walk(_served()[1].routes))


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, str]]]:
    """A site where acme has one of everything; and what stands for each name in a path."""
    with site(tmp_path_factory.mktemp("owned") / "data") as here:
        admin = here.token("owner", acme="admin")
        path = "/api/v1/tenants/acme/services/web/create-snapshot"
        first, second = (here.ask("POST", path, admin, data={}).document for _ in range(2))
        service = Service(
            service_id="web", tenant_id="acme", alias=MARKS[0], directory=MARKS[2], node="n1", rpo_seconds=60
        )
        changes = (
            SaveService(service),
            AddSnapshot(snapshot(SNAPSHOT, labels=(Label("note", MARKS[1]),))),
            SaveSchedule(Schedule("acme", "nightly", "create-snapshot", "@daily", service_id="web")),
        )
        ended = here.claim()
        here.system.database.ledger.settle(ended, Outcome.succeeded(MARKS[3], changes=changes))
        queued = next(one for one in (first, second) if one["operation_id"] != ended.operation.op_id)
        yield here, {
            "tenant_id": "acme", "service_id": "web", "snapshot_id": SNAPSHOT, "name": "nightly", "node": "n1",
            "operation_id": queued["operation_id"], "verb": "drain", "what": "verify",
            "dead_letter_id": SNAPSHOT, "fingerprint": "0" * 16, "replay_id": SNAPSHOT,
            "token_id": here.system.database.tokens.list()[0].token_id,
        }  # fmt: skip


@pytest.fixture(scope="module")
def thief(owned: tuple[Site, dict[str, str]]) -> str:
    return owned[0].token("thief", evil="admin")


def test_the_owner_s_words_are_told_to_the_owner(owned: tuple[Site, dict[str, str]]) -> None:
    """Else their absence below would say nothing."""
    here, names = owned
    secret = here.token("reader", acme="viewer")
    told = "".join(here.ask("GET", path.format(**names), secret).text for method, path in ROUTES if method == "GET")
    assert [mark for mark in MARKS if mark not in told] == []


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "GET"])
def test_no_answer_holds_what_is_another_tenant_s(owned: tuple[Site, dict[str, str]], thief: str, path: str) -> None:
    """I26."""
    here, names = owned
    reply = here.ask("GET", path.format(**names) + ("?version=v9" if path.endswith("/upgrade") else ""), thief)
    assert [mark for mark in MARKS if mark in reply.text] == []
    assert reply.status < 500
    if "{" in path:
        assert reply.status in (303, 401, 403, 404), reply.text[:200]


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "POST"])
def test_nothing_that_is_posted_changes_what_is_another_tenant_s(
    owned: tuple[Site, dict[str, str]], thief: str, path: str
) -> None:
    """I26: as JSON and as a form; the operation that waits goes on waiting."""
    here, names = owned
    before = _state(here, names)
    for given in ({"data": {"snapshot_id": SNAPSHOT, "reason": "mischief"}}, {"form": {"reason": "mischief"}}):
        reply = here.ask("POST", path.format(**names), thief, **given)  # type: ignore[arg-type]
        assert 400 <= reply.status < 500, (reply.status, reply.text[:200])
        assert [mark for mark in MARKS if mark in reply.text] == []
    assert _state(here, names) == before


def _state(here: Site, names: dict[str, str]) -> tuple[Any, ...]:
    database = here.system.database
    waiting = database.ledger.get(names["operation_id"])
    assert waiting is not None
    return (
        database.inbox.backlog(), waiting.state, waiting.cancel_requested, database.services.get("web"),
        database.catalogue.get(SNAPSHOT), database.schedules.list("acme"),
        [entry for entry in database.audit.list(limit=100) if entry.tenant_id == "acme"],
    )  # fmt: skip


def test_a_name_with_a_script_is_shown_and_never_run(tmp_path: Path) -> None:
    """On every page; what the API tells is JSON, which no browser runs."""
    bad = "<script>steal()</script>"
    with site(tmp_path / "data") as here:
        admin = here.token("root", everywhere="admin")
        here.ask("POST", "/api/v1/tenants/acme/services/web/create-snapshot", admin, data={})
        service = Service(service_id="web", tenant_id="acme", alias=bad, directory=bad, node="n1")
        changes = (SaveService(service), AddSnapshot(snapshot(SNAPSHOT, labels=(Label("note", bad),))))
        claim = here.claim()
        here.system.database.ledger.settle(claim, Outcome.succeeded(bad, changes=changes))
        names = {"service_id": "web", "snapshot_id": SNAPSHOT, "operation_id": claim.operation.op_id, "node": "n1"}
        names |= {
            "dead_letter_id": SNAPSHOT,
            "fingerprint": "0" * 16,
            "replay_id": SNAPSHOT,
            "token_id": SNAPSHOT,
            "tenant_id": "acme",
            "name": "x",
        }
        pages = [path for method, path in ROUTES if method == "GET" and not path.startswith("/api/")]
        told = "".join(here.ask("GET", path.format(**names), admin, accept="text/html").text for path in pages)
    assert bad not in told
    assert "&lt;script&gt;steal()" in told
