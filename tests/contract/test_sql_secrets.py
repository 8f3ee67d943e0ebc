"""I18: what may hold a secret is nowhere in the database's own bytes, and a sealed value opens only in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from domain.errors import Damaged
from domain.outcome import Outcome, SaveService, SaveVersion
from domain.service import Service
from tests.contract.sql_bench import ANN, LEASE, Bench, accepted, rejected

CANARY = "CANARY-7f3a91"


def spread(bench: Bench) -> None:
    """Put the canary everywhere where a secret may come in."""
    bench.accept(accepted("m1", data={"password": CANARY}), rejected(f"{{{CANARY}".encode(), headers={"h": CANARY}))
    bench.accept(accepted("m1", digest="other", data={"password": CANARY}))
    claim = bench.claim_one()
    bench.database.ledger.intend(claim, 0, "apply", {"env": CANARY}, (), LEASE)
    bench.database.ledger.conclude(claim, 0, "DONE", {"env": CANARY}, LEASE)
    bench.database.ledger.intend_many(claim, 1, [("set-env", {"env": CANARY}), ("probe", {"env": CANARY})], LEASE)
    bench.database.ledger.intend(claim, 1, "set-env", {"env": CANARY}, (), LEASE)
    bench.database.ledger.advance(claim, 1, {"env": CANARY}, "DONE", 2, LEASE)
    bench.database.ledger.undo_many(claim, {1: {"env": CANARY}}, LEASE)
    bench.fail(claim, traceback=f'File "/x.py", line 1, in f\nValueError: {CANARY}')
    (letter, *_) = bench.database.dead_letters.list(resolved=False, limit=1, before=None)
    bench.database.dead_letters.replay_operation(letter.dead_letter_id, ANN)
    bench.database.ledger.settle(
        bench.claim_one(),
        Outcome.succeeded(
            "done",
            changes=(
                SaveService(Service("web", "acme", "w", "w", document={"env": CANARY})),
                SaveVersion("acme", "shop", "2.0", {"hub_password": CANARY}),
            ),
        ),
    )


def test_no_secret_is_in_the_bytes_of_an_sqlite_database(tmp_path: Path) -> None:
    with Bench.opened(f"sqlite:///{tmp_path}/t.db") as bench:
        spread(bench)
        files = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"t.db", "t.db-wal"} <= files.keys()
    assert b"create-snapshot" in files["t.db"] + files["t.db-wal"]
    assert [name for name, content in files.items() if CANARY.encode() in content] == []


def test_no_secret_is_in_any_table_of_postgresql(fresh_postgres_url: str) -> None:
    with Bench.opened(fresh_postgres_url) as bench:
        spread(bench)
        with bench.database._engine.connect() as connection:
            tables = connection.scalars(
                text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
            ).all()
            assert "operation" in tables
            for table in tables:
                dumped = "\n".join(str(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}"))
                assert CANARY not in dumped, table


def test_a_sealed_value_that_was_copied_to_another_row_does_not_open(tmp_path: Path) -> None:
    with Bench.opened(f"sqlite:///{tmp_path}/t.db") as bench:
        first, second = bench.accept_one(data={"a": 1}), bench.accept_one(service="b")
        with bench.database._engine.begin() as connection:
            copied = text("UPDATE operation SET data = (SELECT data FROM operation WHERE op_id = :first)")
            connection.execute(copied, {"first": first})
        with pytest.raises(Damaged):
            bench.database.ledger.get(second)
