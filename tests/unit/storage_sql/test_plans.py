"""How SQLite finds what it is asked for often: by an index of what is wanted, among much that is not.

Apart from the plans of claims in the contract, because PostgreSQL decides by figures and these are about a database
that has none: SQLite is never asked to count, and takes the longest match of an index for the best.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert

from domain.outcome import SaveService
from domain.service import Service
from storage.sql.schedules import _waiting
from storage.sql.tables import operation
from tests.contract.sql_bench import Bench, accepted

#: Indexes that lead to everything that is queued, or that a tenant has ever had.
TOO_WIDE = ("op_state", "op_tenant", "SCAN operation", "TEMP B-TREE")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Many services, each with one operation that waits and one that has ended."""
    row = {
        "source": "s", "request_hash": "same", "kind": "create-snapshot", "version": 1, "tenant_id": "acme",
        "data": b"", "created_at": 1, "updated_at": 1, "node": "n9",
    }  # fmt: skip
    with Bench.opened(f"sqlite:///{tmp_path}/backstay.db") as opened:
        with opened.database._engine.begin() as connection:
            connection.execute(
                insert(operation),
                [
                    row | {"op_id": f"{state}{n}", "message_id": f"{state}{n}", "service_id": f"s{n}", "state": state}
                    for n in range(500)
                    for state in ("QUEUED", "SUCCEEDED")
                ],
            )
        yield opened


@contextmanager
def watched(bench: Bench) -> Iterator[list[str]]:
    """The plans of all statements about operations that are made within; of what writes with the word WRITE."""
    plans: list[str] = []
    engine = bench.database._engine

    def look(connection: Connection, _: object, statement: str, parameters: object, *__: object) -> None:
        verb = statement.split(maxsplit=1)[0]
        if "operation" in statement and verb in ("SELECT", "UPDATE") and isinstance(parameters, tuple):
            cursor = connection.connection.cursor()
            rows = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
            plans.append(" / ".join([*("WRITE" for _ in [0] if verb == "UPDATE"), *(str(row[-1]) for row in rows)]))

    event.listen(engine, "before_cursor_execute", look)
    try:
        yield plans
    finally:
        event.remove(engine, "before_cursor_execute", look)


@pytest.mark.parametrize(("exclusive", "index"), [(True, "op_open"), (False, "op_service")])
def test_whether_a_command_waits_already_is_looked_for_in_its_service(
    bench: Bench, exclusive: bool, index: str
) -> None:
    with watched(bench) as plans, bench.database._engine.connect() as connection:
        assert _waiting(connection, accepted("x", "s7", exclusive=exclusive)) == "QUEUED7"
        assert _waiting(connection, accepted("x", "absent", exclusive=exclusive)) is None
    assert len(plans) == 2
    for plan in plans:
        assert index in plan
        assert not any(wide in plan for wide in TOO_WIDE), plan


def test_what_waits_for_a_directory_is_looked_for_in_its_service(bench: Bench) -> None:
    claim = bench.running("new")
    with watched(bench) as plans:
        bench.succeed(claim, SaveService(Service("s7", "acme", "Seven", "seven")))
    assert plans
    for plan in plans:
        assert not any(wide in plan for wide in TOO_WIDE), plan


def test_as_long_as_no_deadline_has_passed_nobody_waits_for_whoever_looks(bench: Bench) -> None:
    """All that is queued is read for it, by every process, several times a minute."""
    with watched(bench) as plans:
        assert bench.database.ledger.expire() == 0
    assert plans
    assert not [plan for plan in plans if plan.startswith("WRITE")]


def test_what_has_ended_is_walked_through_in_its_order(bench: Bench) -> None:
    bench.now += 1
    with watched(bench) as plans:
        assert bench.database.history.prune(0, 300).operations == 300
    walk = plans[0]
    assert "SEARCH operation USING INTEGER PRIMARY KEY (rowid>?)" in walk
    assert not any(wide in walk for wide in TOO_WIDE), walk
