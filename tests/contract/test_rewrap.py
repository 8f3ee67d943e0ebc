"""Rotation of the key ring in SQL: every sealed value under the current key, none lost, beside working nodes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import LargeBinary, select, update

from storage.sealing import KeyRing
from storage.sql import open_database, rewrap
from storage.sql.rewrap import SECRETS
from storage.sql.tables import metadata, service
from tests.contract.sql_bench import Bench, FlippingSealer
from tests.contract.test_sql_secrets import CANARY, spread
from tests.dying import dying

OLD, NEW = KeyRing.generate_text("old"), KeyRing.generate_text("new")
HEADS = {"old": KeyRing.head("old"), "new": KeyRing.head("new")}


@contextmanager
def _opened(url: str, ring: str) -> Iterator[Bench]:
    database = open_database(url, KeyRing.parse(ring))
    database.migrate()
    try:
        yield Bench(url, database, FlippingSealer())
    finally:
        database.close()


def test_every_binary_column_is_known_to_be_sealed() -> None:
    """A new secret column that rotation does not know would be lost with the old key."""
    binary = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert binary == {(secrets.table.name, name) for secrets in SECRETS for name in secrets.columns}


def test_after_sealing_anew_everything_opens_without_the_old_key(database_url: str) -> None:
    with _opened(database_url, OLD) as bench:
        spread(bench)
        counts, others = bench.database.sealed_values(HEADS)
        total = counts["old"]
        assert counts == {"old": total, "new": 0} and total > 10 and others == 0
    with _opened(database_url, f"{NEW},{OLD}") as bench:
        assert bench.database.rewrap(HEADS["new"]) == (total, 0)
        assert bench.database.sealed_values(HEADS) == ({"old": 0, "new": total}, 0)
        assert bench.database.rewrap(HEADS["new"]) == (0, 0)
    with _opened(database_url, NEW) as bench:
        assert bench.database.sealed_values({"new": HEADS["new"]}) == ({"new": total}, 0)
        web = bench.database.services.get("web")
        assert web is not None and web.document == {"env": CANARY}
        assert bench.database.versions.get("acme", "shop", "2.0") == {"hub_password": CANARY}
        for operation in bench.database.list_operations():
            assert bench.database.ledger.get(operation.op_id) is not None
            bench.database.ledger.steps(operation.op_id)
        for resolved in (True, False):
            for letter in bench.database.dead_letters.list(resolved=resolved, limit=50, before=None):
                assert bench.database.dead_letters.get(letter.dead_letter_id) is not None


def test_more_rows_than_one_transaction_takes_are_all_sealed_anew(database_url: str) -> None:
    with _opened(database_url, OLD) as bench:
        for number in range(230):
            bench.accept_one(service=f"s{number}", data={"n": number})
    with _opened(database_url, f"{NEW},{OLD}") as bench:
        assert bench.database.rewrap(HEADS["new"]) == (230, 0)


@pytest.mark.parametrize(("point", "hit"), [("rewrap.before-commit", 3), ("rewrap.after-commit", 2)])
def test_killed_between_two_transactions_it_goes_on_where_it_was(database_url: str, point: str, hit: int) -> None:
    with _opened(database_url, OLD) as bench:
        for number in range(150):
            bench.accept_one(service=f"s{number}")
    with _opened(database_url, f"{NEW},{OLD}") as bench:
        with dying(point, hit):
            bench.database.rewrap(HEADS["new"])
        counts, _ = bench.database.sealed_values(HEADS)
        assert 0 < counts["new"] < 150
        assert bench.database.rewrap(HEADS["new"]) == (counts["old"], 0)


def test_a_value_that_does_not_open_stays_and_is_counted(database_url: str) -> None:
    with _opened(database_url, OLD) as bench:
        spread(bench)
        counts, _ = bench.database.sealed_values(HEADS)
        with bench.database._engine.begin() as connection:
            connection.execute(update(service).values(document=b"no sealed value at all"))
    with _opened(database_url, f"{NEW},{OLD}") as bench:
        assert bench.database.rewrap(HEADS["new"]) == (counts["old"] - 1, 1)
        assert bench.database.sealed_values(HEADS) == ({"old": 0, "new": counts["old"] - 1}, 1)
        with bench.database._engine.begin() as connection:
            assert connection.execute(select(service.c.document)).scalar_one() == b"no sealed value at all"


def test_a_value_that_a_node_writes_meanwhile_is_not_overwritten(database_url: str) -> None:
    """The value that was opened is no longer there: the later one stands."""
    with _opened(database_url, OLD) as bench:
        spread(bench)

    with _opened(database_url, f"{NEW},{OLD}") as bench:
        secrets = SECRETS[0]
        with bench.database._tx.write("test") as connection:
            (row,) = connection.execute(rewrap._next(secrets, HEADS["new"], None)).all()
            fresh = KeyRing.parse(NEW).seal(b'{"later":1}', b"service|document|web")
            connection.execute(update(service).values(document=fresh))
            ring = KeyRing.parse(f"{NEW},{OLD}")
            assert rewrap._rewrap(connection, secrets, row, ring, HEADS["new"]) == (0, 0)
        web = bench.database.services.get("web")
        assert web is not None and web.document == {"later": 1}
