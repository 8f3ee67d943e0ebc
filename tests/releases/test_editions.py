"""What the previous release knows, and what it is kept from: commands, claims, tables, doors.

The claim of the previous release is its own code, on a database that the present one has migrated and filled.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text

import handlers
from domain.audit import Actor
from domain.contracts import Accepted
from domain.edition import EDITION, edition_for
from domain.message import Envelope
from storage.sealing import KeyRing
from storage.sql import Database, open_database
from storage.sql.recovering import recover
from tests.chaos.world import TENANT
from tests.conftest import real
from tests.contract.sql_bench import snapshot
from tests.releases.previous import Previous
from tests.releases.site import Site
from tests.servers.postgres import PostgresServer
from workers.judge import judge_with

OWNER = "n1|boot|ns|1|1"
LEASE = 60_000
NUMBERS = itertools.count()
ID = "01a1fdf3-346f-754a-97f3-20ab4a09679e"


@dataclass(frozen=True, slots=True)
class Claims:
    """A database of the present release, and the claims of both on it."""

    previous: Previous
    database: Database
    url: str
    keys: str

    def accept(self, kind: str = "create-snapshot", service: str = "web", node: str = "", **data: Any) -> str:
        """A command through the present door; its operation's id."""
        name = f"{kind}-{next(NUMBERS)}"
        body = Site.message(kind, service, name, data)
        (receipt,) = self.database.inbox.accept([judge_with(handlers.subscriptions())(Envelope(body))])
        assert receipt.status == "accepted" and receipt.op_id is not None
        self.write("UPDATE operation SET node = :node WHERE op_id = :op_id", node=node, op_id=receipt.op_id)
        return receipt.op_id

    def taken(self) -> list[str]:
        """What the previous release takes."""
        answer = self.previous.ask("claim", url=self.url, keys=self.keys, node="n1", owner=OWNER)
        return list(answer["operations"])

    def write(self, statement: str, **values: Any) -> None:
        """Say something to the database behind everybody's back."""
        with self.database._engine.begin() as connection:
            connection.execute(text(statement), values)


@pytest.fixture(scope="module", params=["sqlite", real("postgresql")])
def both_claim(
    request: pytest.FixtureRequest, previous: Previous, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Claims]:
    """One database of each kind for all of these tests: migrating takes longer than claiming."""
    keys, url = KeyRing.generate_text(), f"sqlite:///{tmp_path_factory.mktemp('claims')}/backstay.db"
    server: AbstractContextManager[str] = nullcontext(url)
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        server = postgres.fresh_database()
    with server as url, closing(open_database(url, KeyRing.parse(keys))) as database:
        database.migrate()
        yield Claims(previous, database, url, keys)


@pytest.fixture
def claims(both_claim: Claims) -> Iterator[Claims]:
    """With nothing in it that could be claimed."""
    yield both_claim
    both_claim.write("UPDATE operation SET state = 'CANCELLED'")
    both_claim.write("UPDATE service_fence SET reserved_by = ''")
    for table in ("snapshot_replica", "snapshot_label", "snapshot", "service", "node"):
        both_claim.write(f"DELETE FROM {table}")


def test_what_it_understands_the_previous_release_takes(claims: Claims) -> None:
    mine, anybodys = claims.accept(node="n1"), claims.accept("cancel-operation", "mail", operation_id=ID)
    assert sorted(claims.taken()) == sorted([mine, anybodys])


@pytest.mark.parametrize("node", ["n1", ""])
def test_what_it_does_not_understand_is_left_alone_and_hides_nothing_behind_it(claims: Claims, node: str) -> None:
    """More of it than a claim takes at once, each of another service, and older than what it may take."""
    newer = [claims.accept("verify-snapshot", f"s{n}", node, snapshot_id=ID) for n in range(20)]
    mine = claims.accept(node="n1")
    taken = [op_id for _ in range(3) for op_id in claims.taken()]
    assert taken == [mine]
    found = [claims.database.ledger.get(op_id) for op_id in newer]
    assert {(one.state.value, one.attempts, one.fence) for one in found if one} == {("QUEUED", 0, 0)}


def test_what_a_newer_program_has_begun_is_left_to_newer_ones(claims: Claims) -> None:
    begun = claims.accept(node="n1")
    (held,) = claims.database.ledger.claim("n1", OWNER, 8, LEASE)
    claims.write("UPDATE operation SET lease_until = 1")
    assert claims.taken() == []
    claims.write("UPDATE operation SET next_attempt_at = 0")
    (again,) = claims.database.ledger.claim("n1", OWNER, 8, LEASE)
    assert (again.operation.op_id, again.fence > held.fence) == (begun, True)


def test_a_command_that_was_taken_by_the_wrong_node_is_anybodys_again(claims: Claims) -> None:
    asked = claims.accept(node="")
    (held,) = claims.database.ledger.claim("n2", "n2|boot|ns|1|1", 8, LEASE)
    claims.database.ledger.reroute(held, "n1")
    assert claims.taken() == [asked]


def test_a_service_that_an_operation_has_reserved_is_not_taken_from_it(claims: Claims) -> None:
    claims.accept("upgrade-service", "web", version="v2")
    (upgrade,) = claims.database.ledger.claim("n1", OWNER, 8, LEASE)
    claims.database.ledger.reserve(upgrade, ["db"], LEASE)
    behind = claims.accept("create-snapshot", "db", "n1")
    assert claims.taken() == []
    claims.write("UPDATE service_fence SET reserved_by = ''")
    claims.write("UPDATE operation SET next_attempt_at = 0")
    assert claims.taken() == [behind]


def test_a_drained_node_of_the_previous_release_begins_nothing_but_cancels(claims: Claims) -> None:
    claims.database.nodes.beat("n1", "boot", "0.1.0")
    claims.database.nodes.drain("n1", Actor("ann", "cli"), "to be upgraded")
    claims.accept(node="n1")
    cancel = claims.accept("cancel-operation", "mail", operation_id=ID)
    assert claims.taken() == [cancel]


@pytest.mark.parametrize("kind", ["create-snapshot", "restore-snapshot"])
def test_a_service_with_sources_waits_for_who_knows_them(claims: Claims, kind: str) -> None:
    _service(claims, sources='["postgres"]')
    claims.accept(kind, "web", "n1", **({"snapshot_id": ID} if kind == "restore-snapshot" else {}))
    assert claims.taken() == []


@pytest.mark.parametrize("edition", [1, EDITION])
def test_a_restore_is_taken_while_the_tenant_has_only_snapshots_that_it_can_read(claims: Claims, edition: int) -> None:
    _snapshot(claims, edition=edition)
    restore = claims.accept("restore-snapshot", "web", "n1", snapshot_id=ID)
    assert claims.taken() == ([restore] if edition == 1 else [])


@pytest.mark.parametrize("pinned", ["", "evidence"])
def test_a_deletion_is_taken_while_nothing_of_the_service_is_pinned(claims: Claims, pinned: str) -> None:
    _snapshot(claims, edition=1, pinned=pinned)
    deletion = claims.accept("delete-snapshot", "web", "n1", snapshot_id=ID)
    assert claims.taken() == ([] if pinned else [deletion])


def test_a_deletion_waits_for_who_knows_of_copies(claims: Claims) -> None:
    _snapshot(claims, edition=1)
    claims.write(
        "INSERT INTO snapshot_replica (snapshot_id, replica, state, updated_at) VALUES (:id, 'far', 'copied', 1)", id=ID
    )
    claims.accept("delete-snapshot", "web", "n1", snapshot_id=ID)
    assert claims.taken() == []


def _service(claims: Claims, **more: str) -> None:
    values = {"service_id": "web", "tenant_id": TENANT, "alias": "w", "directory": "web", "node": "n1"} | more
    names = ", ".join(values)
    claims.write(
        f"INSERT INTO service ({names}, generation, document, updated_at) "
        f"VALUES ({', '.join(':' + name for name in values)}, 1, :document, 1)",
        document=b"",
        **values,
    )


def _snapshot(claims: Claims, *, edition: int, pinned: str = "") -> None:
    assert recover(claims.database._tx, snapshot(ID))
    claims.write("UPDATE snapshot SET edition = :edition, pinned = :pinned", edition=edition, pinned=pinned)


# ---------------------------------------------------------------- tables
def test_every_table_and_column_of_the_previous_release_is_still_there(claims: Claims) -> None:
    """Rule 1 of docs/migrations.md: expand only."""
    found = inspect(claims.database._engine)
    for table, columns in claims.previous.ask("about")["tables"].items():
        assert set(columns) <= {column["name"] for column in found.get_columns(table)}, table


def test_what_is_new_in_a_table_may_be_left_out_by_the_previous_release(claims: Claims) -> None:
    found = inspect(claims.database._engine)
    for table, columns in claims.previous.ask("about")["tables"].items():
        for column in found.get_columns(table):
            spared = column["name"] in columns or column["nullable"] or column["default"] is not None
            assert spared, f"{table}.{column['name']}: an INSERT of the previous release cannot know it"


def test_no_rule_of_a_table_is_stricter_than_in_the_previous_release(
    previous: Previous, empty: Path, tmp_path: Path
) -> None:
    """Types, checks, keys and unique indexes, as SQLite has them; the migrations say the same to PostgreSQL."""
    after = f"sqlite:///{tmp_path}/new.db"
    with closing(open_database(after, KeyRing.parse(KeyRing.generate_text()))) as database:
        database.migrate()
    tables = previous.ask("about")["tables"]
    was, now = _rules(f"sqlite:///{empty}/backstay.db", tables), _rules(after, tables)
    assert was
    assert now == was


def _rules(url: str, tables: dict[str, list[str]]) -> set[tuple[str, ...]]:
    """What an INSERT or UPDATE of the previous release can be refused for."""
    engine = create_engine(url)
    found = inspect(engine)
    rules: set[tuple[str, ...]] = set()
    for table, columns in tables.items():
        said = {column["name"]: column for column in found.get_columns(table)}
        rules |= {(table, name, str(said[name]["type"]), str(said[name]["nullable"])) for name in columns}
        rules |= {(table, "check", str(one["sqltext"])) for one in found.get_check_constraints(table)}
        rules |= {(table, "refers", str(one["constrained_columns"])) for one in found.get_foreign_keys(table)}
        rules |= {(table, "one", str(one["column_names"])) for one in found.get_unique_constraints(table)}
        for index in found.get_indexes(table):
            if index["unique"]:
                where = index.get("dialect_options", {}).get("sqlite_where", "")
                rules.add((table, "one", str(index["column_names"]), str(where)))
    engine.dispose()
    return rules


# ---------------------------------------------------------------- messages
SAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("register-service", {}),
    ("register-service", {"alias": "Shop", "directory": "acme/shop", "node": "n1", "region": "eu"}),
    ("register-service", {"configuration": {"image": "shop:1.4", "envs": [{"name": "A", "value": "1"}]}}),
    ("register-service", {"sources": ["postgres"]}),
    ("create-snapshot", {"labels": ["owner:42"], "include": ["data"], "exclude": ["*.log"]}),
    ("create-snapshot", {"include": ["data", "sources"]}),
    ("restore-snapshot", {"snapshot_id": ID, "mode": "merge", "include": ["data"]}),
    ("restore-snapshot", {"snapshot_id": ID, "target": {"node": "n2", "directory": "acme/copy"}}),
    ("restore-snapshot", {"snapshot_id": ID, "dry_run": True}),
    ("restore-snapshot", {"snapshot_id": ID, "paths": ["a"]}),
    ("restore-snapshot", {"at": "2026-11-20T09:00:00Z"}),
    ("delete-snapshot", {"snapshot_id": ID}),
    ("cancel-operation", {"operation_id": ID}),
    ("verify-snapshot", {"snapshot_id": ID}),
    ("upgrade-service", {"version": "v2"}),
)


@pytest.mark.parametrize(("kind", "data"), SAMPLES)
def test_a_command_is_of_the_first_edition_when_the_previous_release_takes_it(
    previous: Previous, kind: str, data: dict[str, Any]
) -> None:
    handlers.parse(handlers.subscriptions()[kind], data)
    understood = previous.ask("understands", kind=kind, data=data)["understood"]
    assert (edition_for(kind, data) == 1) is understood


def test_every_field_that_the_previous_release_does_not_know_makes_a_command_of_the_present_edition(
    previous: Previous,
) -> None:
    fields = previous.ask("about")["kinds"]
    for kind, subscription in handlers.subscriptions().items():
        for field in subscription.model.model_fields:
            assert (edition_for(kind, {field: None}) == 1) is (field in fields.get(kind, ())), f"{kind}.{field}"


@pytest.mark.parametrize(("kind", "data"), [one for one in SAMPLES if edition_for(*one) == 1])
def test_both_releases_take_a_repeated_message_for_the_same(
    previous: Previous, kind: str, data: dict[str, Any]
) -> None:
    """Otherwise a message that is delivered again, to the other release, would be a dead letter."""
    body = Site.message(kind, "web", "m1", data)
    judged = judge_with(handlers.subscriptions())(Envelope(body))
    assert isinstance(judged, Accepted)
    assert previous.ask("digest", body=body.decode())["digest"] == judged.request_hash
