"""The SQL broker over a real database: what one look has claimed is run, whatever else fails in that look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.contracts import Claim
from domain.errors import BackstayError, DatabaseUnavailable, LeaseLost
from domain.lease import Taken
from tests.contract.sql_bench import LEASE, Bench
from tests.fakes.clock import FakeClock
from workers.broker import SqlBroker


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench.opened(f"sqlite:///{tmp_path}/backstay.db") as opened:
        yield opened


@pytest.fixture
def broker(bench: Bench) -> Iterator[SqlBroker]:
    """Nothing consumes, so whatever it has claimed hangs."""

    def never(_taken: Taken) -> None:
        raise AssertionError("nobody consumes")

    wake = bench.database.wake()
    yield SqlBroker(bench.database.ledger, wake, FakeClock(), never, node="n1", owner="n1:1", slots=5, lease_ms=LEASE)
    wake.close()


def claimed(broker: SqlBroker) -> list[str]:
    return sorted(claim.operation.op_id for claim in broker.claim())


def test_what_still_runs_here_after_its_lease_is_offered_again_later(bench: Bench, broker: SqlBroker) -> None:
    hangs = bench.accept_one(service="hangs")
    assert claimed(broker) == [hangs]
    bench.now += LEASE + 1
    assert claimed(broker) == []
    assert bench.get(hangs).error_code == "still-running"
    assert broker.free() == 4
    for _ in range(5):
        bench.now += LEASE + 1
        assert claimed(broker) == []
    assert bench.get(hangs).attempts == 0, "nothing was tried meanwhile"


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), LeaseLost("somebody else has it")])
def test_what_was_claimed_with_something_that_cannot_be_postponed_is_run_all_the_same(
    bench: Bench, broker: SqlBroker, monkeypatch: pytest.MonkeyPatch, error: BackstayError
) -> None:
    """Older and younger than what hangs: wherever it stands in the batch."""

    def fails(*_: object) -> None:
        raise error

    older = bench.accept_one(service="older")
    first = bench.claim_one(owner="n1:2")
    hangs = bench.accept_one(service="hangs")
    assert claimed(broker) == [hangs]
    bench.database.ledger.release(first)
    younger = bench.accept_one(service="younger")
    bench.now += LEASE + 1
    monkeypatch.setattr(bench.database.ledger, "postpone", fails)
    assert claimed(broker) == sorted([older, younger])
    assert broker.free() == 2


def test_what_must_run_to_its_end_is_not_given_back_by_a_process_that_stops(bench: Bench) -> None:
    wakes, reads = bench.accept_one(service="wakes"), bench.accept_one(service="reads")
    ledger, wake, given_back = bench.database.ledger, bench.database.wake(), []

    def run(taken: Taken) -> None:
        with taken.hold.staying():
            given_back.append(stopping.give_back())

    stopping = SqlBroker(ledger, wake, FakeClock(), run, node="n1", owner="n1:1", slots=5, lease_ms=LEASE)
    assert claimed(stopping) == sorted([wakes, reads])
    stopping.get_actor("execute").fn(wakes)
    wake.close()
    assert given_back == [1]
    assert (bench.get(wakes).lease_until, bench.get(reads).lease_until) == (bench.now + LEASE, 0)


def test_the_time_of_an_operation_is_not_ahead_of_the_database_however_long_its_claim_has_waited(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a snapshot is younger than what is decided after it, and its policy keeps one too many, or the wrong one."""
    op_id, clock, ledger, wake = bench.accept_one(), FakeClock(), bench.database.ledger, bench.database.wake()
    taken: list[Taken] = []
    broker = SqlBroker(ledger, wake, clock, taken.append, node="n1", owner="n1:1", slots=5, lease_ms=LEASE)
    claim = ledger.claim

    def waits(*args: Any, **more: Any) -> list[Claim]:
        """For the write lock, and then for the disk."""
        clock.pass_seconds(7)
        found = claim(*args, **more)
        clock.pass_seconds(3)
        return found

    monkeypatch.setattr(ledger, "claim", waits)
    broker.claim()
    clock.pass_seconds(1)
    broker.get_actor("execute").fn(op_id)
    wake.close()
    assert taken[0].now_ms(LEASE, clock.boottime()) == bench.now + 1_000
    assert clock.boottime() - taken[0].asked_at == 11, "what ends a lease is counted from the question"
