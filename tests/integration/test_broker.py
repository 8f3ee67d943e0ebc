"""The SQL broker over a real database: what one look has claimed is run, whatever else fails in that look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.contracts import Claim
from domain.errors import BackstayError, DatabaseUnavailable, LeaseLost
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

    def never(_claim: Claim, _asked_at: float) -> None:
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
