"""The port `UpgradeRecords`: what an upgrade came to for each service, in which order, and what is held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.outcome import HoldVersion, SaveRecord
from domain.upgrade_record import Status, UpgradeRecord
from storage.sql.transactions import Conflict
from tests.contract.sql_bench import LEASE, Bench

RECORD = UpgradeRecord(
    op_id="op-1",
    service_id="web",
    seq=1,
    tenant_id="acme",
    group_id="shop-1",
    group_key="shop",
    kind="upgrade",
    parent_id=None,
    old_version="1.0",
    new_version="2.0",
    status=Status.UPGRADING,
    action="update",
    event_id="ev-1",
    snapshot_id="snap-1",
)


def test_a_record_is_read_as_it_was_written(bench: Bench) -> None:
    bench.make(SaveRecord(RECORD))
    assert bench.database.records.of("op-1") == [RECORD]
    assert bench.database.records.of("op-9") == []


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_kept(bench: Bench, status: Status) -> None:
    bench.make(SaveRecord(replace(RECORD, status=status)))
    (found,) = bench.database.records.of("op-1")
    assert found.status is status


def test_writing_a_record_again_replaces_it(bench: Bench) -> None:
    bench.make(SaveRecord(RECORD))
    ended = replace(RECORD, status=Status.UPGRADE_FAILED, reason="the region refused", event_id=None, snapshot_id=None)
    bench.make(SaveRecord(ended))
    assert bench.database.records.of("op-1") == [ended]


def test_an_operation_has_one_record_for_each_service_by_service_id(bench: Bench) -> None:
    web, db = RECORD, replace(RECORD, service_id="db")
    bench.make(SaveRecord(web), SaveRecord(db))
    assert bench.database.records.of("op-1") == [db, web]


def test_the_newest_is_the_one_that_held_the_service_last_though_it_was_accepted_first(bench: Bench) -> None:
    """A group's upgrade waits for a member, and one of that member alone passes it: whoever rolls the member back
    wants back what the group's upgrade has replaced."""
    group = bench.running("web")
    alone = bench.running("db")
    passed = replace(RECORD, service_id="db", op_id=alone.operation.op_id, seq=alone.operation.seq)
    bench.succeed(alone, SaveRecord(passed))
    bench.database.ledger.reserve(group, ["db"], LEASE)
    last = replace(passed, op_id=group.operation.op_id, seq=group.operation.seq)
    bench.succeed(group, SaveRecord(last))
    assert last.seq < passed.seq
    assert bench.database.records.history("db", "upgrade") == [last, passed]


def test_the_newest_is_not_the_one_that_was_written_last(bench: Bench) -> None:
    """No clock can turn the order round; without their operations the records have that of acceptance."""
    second, first = replace(RECORD, op_id="op-2", seq=22), replace(RECORD, op_id="op-3", seq=9)
    bench.make(SaveRecord(second))
    bench.now -= 10 * LEASE
    bench.make(SaveRecord(first))
    bench.now += 20 * LEASE
    bench.make(SaveRecord(RECORD))
    assert bench.database.records.history("web", "upgrade") == [second, first, RECORD]


def test_a_history_is_of_one_service_and_one_kind(bench: Bench) -> None:
    back = replace(RECORD, op_id="op-2", seq=2, kind="rollback", parent_id="op-1", status=Status.ROLLBACK)
    bench.make(SaveRecord(RECORD), SaveRecord(back), SaveRecord(replace(RECORD, service_id="db")))
    assert bench.database.records.history("web", "upgrade") == [RECORD]
    assert bench.database.records.history("web", "rollback") == [back]
    assert bench.database.records.history("none", "upgrade") == []


def test_what_has_changed_a_service_comes_in_pages_newest_first(bench: Bench) -> None:
    back = replace(RECORD, op_id="op-2", seq=2, kind="rollback", parent_id="op-1", status=Status.ROLLBACK)
    again = replace(RECORD, op_id="op-3", seq=3)
    db = (replace(RECORD, service_id="db", seq=9), replace(RECORD, op_id="op-2", service_id="db", seq=1))
    bench.make(SaveRecord(back), SaveRecord(RECORD), SaveRecord(again), *map(SaveRecord, db))
    changes = bench.database.records.changes
    assert changes("web", 9) == [again, back, RECORD]
    assert changes("web", 2) == [again, back]
    assert changes("web", 2, "op-2") == [RECORD]
    assert changes("web", 2, "op-1") == changes("web", 2, "op-9") == []


def test_a_record_is_an_upgrade_or_a_rollback(bench: Bench) -> None:
    with pytest.raises(Conflict):
        bench.make(SaveRecord(replace(RECORD, kind="restart")))
    assert bench.database.records.of("op-1") == []


# ---------------------------------------------------------------- held versions
def test_versions_that_are_held_are_known_for_their_service_with_the_reason(bench: Bench) -> None:
    bench.make(
        HoldVersion("web", "shop", "2.1", True, "it did not become healthy"),
        HoldVersion("web", "shop", "2.0", True, "it lost data"),
        HoldVersion("db", "shop", "2.0", True, "other"),
    )
    assert bench.database.records.held("web") == [
        ("shop", "2.0", "it lost data"),
        ("shop", "2.1", "it did not become healthy"),
    ]


def test_holding_again_keeps_the_last_reason(bench: Bench) -> None:
    bench.make(HoldVersion("web", "shop", "2.0", True, "first"))
    bench.make(HoldVersion("web", "shop", "2.0", True, "second"))
    assert bench.database.records.held("web") == [("shop", "2.0", "second")]


def test_a_version_that_is_let_go_may_be_installed_and_letting_go_twice_is_harmless(bench: Bench) -> None:
    bench.make(HoldVersion("web", "shop", "2.0", True, "bad"), HoldVersion("web", "shop", "2.1", True, "bad"))
    for _ in range(2):
        bench.make(HoldVersion("web", "shop", "2.0", False))
    assert bench.database.records.held("web") == [("shop", "2.1", "bad")]
