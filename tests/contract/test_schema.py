"""The schema itself, on both databases: migrations, the rules it keeps by itself, and the indexes that serve."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest
from alembic import command as alembic_command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Select, insert, inspect, text
from sqlalchemy.exc import IntegrityError

from domain.errors import DatabaseUnavailable
from domain.operation import Step, StepState
from domain.service import Service
from domain.snapshot import Label
from storage.sql import open_database
from storage.sql.migrate import __file__ as migrate_file
from storage.sql.outbox import FRESH, LONGEST_HOLD_MS, OVER, OVER_BEFORE
from storage.sql.ready import LANES, READY, READY_CANCELS
from storage.sql.sealed import Vault
from storage.sql.tables import SCHEMA_REVISION, metadata, operation, outbox, service_fence
from tests.contract.sql_bench import LEASE, Bench, FlippingSealer
from tests.dying import killed


@pytest.fixture
def connection(bench: Bench) -> Iterator[Connection]:
    with bench.database._engine.connect() as opened:
        yield opened


def test_the_migrations_make_the_tables_that_the_code_knows(connection: Connection) -> None:
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "version_table": "schema_revision",
            "include_name": lambda name, kind, _: (kind, name) != ("table", "alembic_version"),
        },
    )
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


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_migration_that_is_killed_has_happened_whole_or_not_at_all(database_url: str, side: str) -> None:
    """And whoever comes next finishes it, or finds nothing to do."""
    killed(f"migrate.{side}-commit", lambda: open_database(database_url, FlippingSealer()).migrate())
    with closing(open_database(database_url, FlippingSealer())) as database:
        assert (database.check_schema() is None) == (side == "after")
        database.migrate()
        assert database.check_schema() is None


def _migrated_to(url: str, revision: str) -> None:
    """A database as an earlier release left it."""
    config = Config()
    config.set_main_option("script_location", migrate_file.replace("migrate.py", "migrations"))
    database = open_database(url, FlippingSealer())
    with database._engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic_command.upgrade(config, revision)
    database.close()


def _rows_of_0001(connection: Connection) -> None:
    """A registered service, and its operation that was begun and whose holder is gone."""
    vault = Vault(FlippingSealer())
    rows: dict[str, dict[str, object]] = {
        "service": {
            "service_id": "web", "tenant_id": "acme", "alias": "w", "directory": "web", "node": "n1", "generation": 3,
            "document": vault.close_json({"env": {"A": "1"}}, "service.document", "web"), "updated_at": 1,
        },
        "service_fence": {"service_id": "web", "fence": 7},
        "operation": {
            "op_id": "op-1", "source": "/console", "message_id": "m1", "request_hash": "h", "kind": "create-snapshot",
            "version": 1, "tenant_id": "acme", "service_id": "web", "state": "RUNNING", "fence": 7, "lease_until": 1,
            "data": vault.close_json({"x": 1}, "operation.data", "op-1"), "created_at": 1, "updated_at": 1,
        },
        "step": {
            "op_id": "op-1", "ordinal": 0, "kind": "stage", "state": "INTENT", "fence": 7, "updated_at": 5,
            "request": vault.close_json({"path": "a"}, "step.request", "op-1/0"),
            "reply": vault.close_json({}, "step.reply", "op-1/0"),
        },
    }  # fmt: skip
    for table, values in rows.items():
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({marks})"), values)


@pytest.fixture
def older(database_url: str) -> Iterator[Bench]:
    """A database of revision 0001 with rows, migrated to the present."""
    _migrated_to(database_url, "0001")
    database = open_database(database_url, FlippingSealer())
    with database._engine.begin() as connection:
        _rows_of_0001(connection)
    assert "0001" in (database.check_schema() or "")
    database.close()
    with Bench.opened(database_url) as opened:
        assert opened.database.check_schema() is None
        yield opened


def test_a_service_of_0001_is_read_as_it_was_and_is_in_no_group(older: Bench) -> None:
    kept = Service("web", "acme", "w", "web", node="n1", generation=3, document={"env": {"A": "1"}})
    assert older.database.services.get("web") == kept


def test_a_step_of_0001_is_read_as_it_was_and_its_beginning_is_not_known(older: Bench) -> None:
    (step,) = older.database.ledger.steps("op-1")
    assert step == Step(0, "stage", StepState.INTENT, {"path": "a"}, {}, began_at=0, updated_at=5, fence=7)


def test_an_operation_that_0001_began_is_taken_over_and_may_reserve(older: Bench) -> None:
    claim = older.claim_one()
    assert (claim.operation.op_id, claim.operation.data, claim.takeover, claim.fence) == ("op-1", {"x": 1}, True, 8)
    older.database.ledger.reserve(claim, ["db"], LEASE)
    older.database.ledger.conclude(claim, 0, "DONE", {}, LEASE)
    older.succeed(claim)


def _stand(bench: Bench, applied: str, oldest: str) -> None:
    with bench.database._engine.begin() as connection:
        connection.execute(text("UPDATE schema_revision SET version_num = :it"), {"it": applied})
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": oldest})


def test_a_schema_that_is_too_old_is_named_with_the_next_step(bench: Bench) -> None:
    _stand(bench, "0000", "0000")
    told = bench.database.check_schema() or ""
    assert "0000" in told
    assert "`backstay migrate`" in told


def test_a_program_works_on_a_newer_schema_until_that_says_otherwise(bench: Bench) -> None:
    assert bench.database.schema() == f"schema {SCHEMA_REVISION} is current"
    _stand(bench, "9999", SCHEMA_REVISION)
    assert bench.database.check_schema() is None
    assert bench.database.schema().startswith("schema 9999 is of a later release")
    bench.database.migrate()  # as `backstay serve` does whenever it starts
    assert bench.database.check_schema() is None


def test_a_schema_from_which_this_program_is_cut_off_is_refused_with_the_next_step(bench: Bench) -> None:
    _stand(bench, "9999", "9998")
    told = bench.database.check_schema() or ""
    assert "9999" in told
    assert "9998" in told
    assert "install the newer release" in told
    with pytest.raises(DatabaseUnavailable, match="9998"):
        bench.database.migrate()


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
    """Both questions walk the index of turns in order, and look up each service by index. Never the primary key: that
    is walked through everything that has ended."""
    _fill(connection)
    lanes = _plan(connection, LANES.params(node=node, now=5))
    one = _plan(connection, READY.params(node=node, kind="k", tenant="t", now=5, most=8))
    cancels = _plan(connection, READY_CANCELS.params(node=node, now=5, most=1))
    assert "op_turn" in cancels or connection.dialect.name == "postgresql", cancels
    assert not re.search(r"Seq Scan|SCAN o|operation_pkey|TEMP B-TREE", cancels), cancels
    for plan in (lanes, one):
        assert "op_turn" in plan
        assert "op_open" in plan
        assert "op_one_active" in plan
        assert not re.search(r"Seq Scan on operation|SCAN [plo]\b|operation_pkey|Sort|TEMP B-TREE", plan), plan


@pytest.mark.parametrize("before", [None, 9_900])
def test_what_is_to_be_told_is_looked_for_among_what_was_not_told(connection: Connection, before: int | None) -> None:
    """Never among the thousands that were: neither by reading all of them nor along the primary key."""
    connection.execute(
        insert(outbox),
        [
            {"event_id": str(n), "op_id": f"op-{n}", "topic": "t", "payload": "{}", "created_at": 1,
             "held_until": 0 if n >= 9_900 else 1, "sent_at": 1 if n < 9_500 else None}
            for n in range(10_000)
        ],
    )  # fmt: skip
    connection.execute(text("ANALYZE"))
    asked = {"now": 5, "longest": LONGEST_HOLD_MS, "most": 100}
    fresh, over = FRESH.params(asked), (OVER if before is None else OVER_BEFORE.params(before=before)).params(asked)
    assert len(connection.execute(fresh).all()) == 100
    assert len(connection.execute(over).all()) == 100
    for plan in (_plan(connection, fresh), _plan(connection, over)):
        assert "outbox_waiting" in plan
        assert not re.search(r"Seq Scan on outbox|SCAN (outbox|first)$|outbox_pkey", plan, re.MULTILINE), plan


def test_postgresql_notices_within_half_a_minute_that_a_node_was_cut_off(fresh_postgres_url: str) -> None:
    """A session that is cut off while the driver pipelines is not idle to it: its rows were locked for two hours."""
    with Bench.opened(fresh_postgres_url) as bench, bench.database._engine.connect() as connection:
        names = ("idle", "interval", "count")
        idle, interval, count = (
            int(connection.execute(text(f"SHOW tcp_keepalives_{name}")).scalar_one()) for name in names
        )
        assert 0 < idle + interval * count < 30


def test_no_claim_is_compiled_by_postgresql(fresh_postgres_url: str) -> None:
    """The planner takes a claim among thousands for costly; compiling it takes far longer than running it."""
    with Bench.opened(fresh_postgres_url) as bench, bench.database._engine.connect() as connection:
        assert connection.scalar(text("SHOW jit")) == "off"


def test_a_page_by_label_and_whether_one_carries_it_is_one_search_of_an_index(connection: Connection) -> None:
    """RS-24: however many other snapshots carry the same label."""
    found = {index["name"]: index["column_names"] for index in inspect(connection).get_indexes("snapshot_label")}
    ordered = ["name", "value", "taken_at", "snapshot_id"]
    assert found == {
        "snapshot_label_newest": ordered,
        "snapshot_label_service": ["service_id", *ordered],
        "snapshot_label_tenant": ["tenant_id", *ordered],
    }


SNAPSHOT_OF_0002 = """INSERT INTO snapshot (snapshot_id, tenant_id, service_id, state, taken_at, manifest_key,
    root_digest, logical_bytes, stored_bytes, files, consistency, include, skipped, updated_at)
    VALUES ('{id}', 'acme', 'web', 'available', {at}, 'm', 'aa', 1, 1, 1, 'stable', '["data"]', '[]', 1)"""
LABEL_OF_0002 = "INSERT INTO snapshot_label (snapshot_id, ordinal, name, value) VALUES ('{id}', 0, 'owner', '42')"


def _write_as_0002(url: str, snapshot_id: str, at: int) -> None:
    with closing(open_database(url, FlippingSealer())) as database, database._engine.begin() as connection:
        for statement in (SNAPSHOT_OF_0002, LABEL_OF_0002):
            connection.execute(text(statement.format(id=snapshot_id, at=at)))


def test_labels_are_found_that_release_0002_wrote_before_and_after_the_migration(database_url: str) -> None:
    """Nodes of both releases work on one database while it is being upgraded."""
    _migrated_to(database_url, "0002")
    _write_as_0002(database_url, "before", 0)
    with Bench.opened(database_url) as bench:
        _write_as_0002(database_url, "after", 1)
        for tenant, services in (("acme", []), (None, ["web"]), (None, [])):
            page = bench.database.catalogue.find(tenant, services, [Label("owner", "42")], 10, None)
            assert [one.snapshot_id for one in page] == ["after", "before"]
