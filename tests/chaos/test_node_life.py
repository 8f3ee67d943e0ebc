"""Kill -9 while a person drains, moves, gives up or forgets: it has happened whole, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from domain.audit import Actor
from domain.operation import State
from domain.outcome import Outcome, SaveService
from domain.service import Service
from storage.sql import Database, open_database
from tests.contract.sql_bench import LEASE, FlippingSealer, accepted
from tests.dying import killed

ROOT = Actor("root", "cli")
NOW = 1_800_000_000_000
LATER = NOW + 10 * LEASE


def _open(url: str, now: int = LATER) -> Database:
    return open_database(url, FlippingSealer(), clock_ms=lambda: now)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """`web` is on node n1, which died in the middle of swapping; `db`, on n1 too, has a command that waits."""
    url = f"sqlite:///{tmp_path}/backstay.db"
    database = _open(url, NOW)
    database.migrate()
    for node in ("n1", "n3"):
        database.nodes.beat(node, "boot", "1")
    database.inbox.accept([accepted("register-web", "web"), accepted("register-db", "db")])
    for claim in database.ledger.claim("n1", "n1|b|ns|1|1", 9, LEASE):
        name = claim.operation.service_id
        saved = SaveService(Service(name, "acme", name, name, node="n1"))
        database.ledger.settle(claim, Outcome.succeeded("registered", changes=(saved,)))
    database.inbox.accept([accepted("swapping", "web", local=True)])
    (claim,) = database.ledger.claim("n1", "n1|b|ns|1|1", 1, LEASE)
    database.ledger.intend(claim, 0, "swap", {}, (), LEASE)
    database.inbox.accept([accepted("waits", "db", local=True)])
    database.close()
    later = _open(url)
    later.nodes.beat("n2", "boot", "1")
    later.close()
    return url


ACTS: dict[str, tuple[Callable[[Database], object], Callable[[Database], object]]] = {
    "drain": (
        lambda database: database.nodes.drain("n2", ROOT, "why"),
        lambda database: [node.drain_reason for node in database.nodes.list()],
    ),
    "forget-node": (
        lambda database: database.nodes.forget("n3", ROOT, "why"),
        lambda database: [node.node for node in database.nodes.list()],
    ),
    "move": (
        lambda database: database.moves.move(_op(database, "waits"), "n2", ROOT, "why"),
        lambda database: (_node(database, "waits"), [service.node for service in database.list_services()]),
    ),
    "give-up": (
        lambda database: database.moves.give_up(_op(database, "swapping"), ROOT, "why"),
        lambda database: (_state(database), len(database.dead_letters.list(resolved=True, limit=9, before=None))),
    ),
}


def _op(database: Database, message_id: str) -> str:
    found = database.find_by_message("/console", message_id)
    assert found is not None
    return found.op_id


def _node(database: Database, message_id: str) -> str | None:
    found = database.find_by_message("/console", message_id)
    assert found is not None
    return found.node


def _state(database: Database) -> State:
    found = database.find_by_message("/console", "swapping")
    assert found is not None
    return found.state


@pytest.mark.parametrize("name", ACTS)
def test_whoever_is_killed_has_done_all_of_it_or_nothing(name: str, url: str) -> None:
    act, look = ACTS[name]
    database = _open(url)
    before = look(database)
    database.close()
    killed(f"{name}.before-commit", lambda: act(_open(url)))
    database = _open(url)
    assert look(database) == before
    database.close()
    killed(f"{name}.after-commit", lambda: act(_open(url)))
    database = _open(url)
    assert look(database) != before
    database.close()
