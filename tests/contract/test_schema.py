"""The schema itself, on both databases: migrations, the rules it keeps by itself, and the indexes that serve."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Select, insert, text
from sqlalchemy.exc import IntegrityError

from storage.sql import open_database
from storage.sql.claim import READY
from storage.sql.migrate import __file__ as migrate_file
from storage.sql.tables import SCHEMA_REVISION, metadata, operation, service_fence
from tests.contract.sql_bench import Bench, FlippingSealer


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    with Bench.opened(database_url) as opened:
        yield opened


@pytest.fixture
def connection(bench: Bench) -> Iterator[Connection]:
    with bench.database._engine.connect() as opened:
        yield opened


def test_the_migrations_make_the_tables_that_the_code_knows(connection: Connection) -> None:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    assert compare_metadata(context, metadata) == []


def test_the_revision_that_the_code_expects_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(migrate_file.replace("migrate.py", "migrations"))
    assert scripts.get_heads() == [SCHEMA_REVISION]


def test_a_database_without_tables_says_what_to_do(database_url: str) -> None:
    database = open_database(database_url, FlippingSealer())
    assert "backstay migrate" in (database.check_schema() or "")
    database.migrate()
    assert database.check_schema() is None
    database.close()


@pytest.mark.parametrize("other", ["0000", "9999"])
def test_another_schema_is_named_with_the_next_step(bench: Bench, other: str) -> None:
    with bench.database._engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :other"), {"other": other})
    assert other in (bench.database.check_schema() or "")


@pytest.mark.parametrize("state", ["SUCCEEDED", "ROLLED_BACK", "FAILED", "CANCELLED"])
def test_no_statement_brings_an_ended_operation_back(bench: Bench, connection: Connection, state: str) -> None:
    """I10"""
    bench.accept_one()
    connection.execute(text(f"UPDATE operation SET state = '{state}'"))
    with pytest.raises(IntegrityError, match="operation_ended"):
        connection.execute(text("UPDATE operation SET state = 'QUEUED'"))


@pytest.mark.parametrize("table", ["operation", "service_fence"])
def test_no_statement_lowers_a_fence(bench: Bench, connection: Connection, table: str) -> None:
    """I11"""
    bench.running()
    with pytest.raises(IntegrityError, match="fence_grows"):
        connection.execute(text(f"UPDATE {table} SET fence = fence - 1"))


def test_no_statement_deletes_a_fence(bench: Bench, connection: Connection) -> None:
    bench.running()
    with pytest.raises(IntegrityError, match="fence_stays"):
        connection.execute(text("DELETE FROM service_fence"))


def test_no_statement_makes_two_operations_of_a_service_active(bench: Bench, connection: Connection) -> None:
    """I7"""
    bench.accept_one()
    bench.accept_one()
    with pytest.raises(IntegrityError):
        connection.execute(text("UPDATE operation SET state = 'RUNNING'"))


def test_no_operation_is_in_a_state_that_does_not_exist(bench: Bench, connection: Connection) -> None:
    bench.accept_one()
    with pytest.raises(IntegrityError):
        connection.execute(text("UPDATE operation SET state = 'DONE'"))


def _fill(connection: Connection) -> None:
    row = {
        "source": "s", "request_hash": "h", "kind": "k", "version": 1, "tenant_id": "t", "data": b"",
        "state": "QUEUED", "created_at": 1, "updated_at": 1,
    }  # fmt: skip
    connection.execute(
        insert(operation),
        [
            row | {"op_id": str(n), "message_id": str(n), "service_id": f"s{n % 500}", "node": "n1" if n % 2 else ""}
            for n in range(10_000)
        ],
    )
    connection.execute(insert(service_fence), [{"service_id": f"s{n}", "fence": 7} for n in range(500)])
    connection.execute(text("ANALYZE"))


def _plan(connection: Connection, statement: Select[tuple[object, ...]]) -> str:
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {compiled}"))


@pytest.mark.parametrize("node", ["n1", ""])
def test_a_claim_among_ten_thousand_reads_indexes_only(connection: Connection, node: str) -> None:
    """Both arms walk their own partial index in order, and look up each service by index."""
    _fill(connection)
    plan = _plan(connection, READY.params(node=node, now=5, most=8))
    assert "op_ready" in plan
    assert "op_open" in plan
    assert "op_one_active" in plan
    assert "Seq Scan" not in plan and "SCAN p" not in plan and "TEMP B-TREE" not in plan
    assert "Sort" not in plan
