"""The port `Ledger`, the guard: no write of a holder that lost its lease changes anything, whatever the write is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from domain.contracts import Claim
from domain.errors import LeaseLost
from domain.operation import State
from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.contract.sql_bench import LEASE, Bench


def _every_write(bench: Bench) -> dict[str, Callable[[Claim], Any]]:
    ledger = bench.database.ledger
    return {
        "renew": lambda claim: ledger.renew(claim, LEASE),
        "intend": lambda claim: ledger.intend(claim, 0, "swap", {}, (), LEASE),
        "conclude": lambda claim: ledger.conclude(claim, 0, "DONE", {}, LEASE),
        "turn_back": lambda claim: ledger.turn_back(claim, Outcome(State.FAILED, "no")),
        "settle": lambda claim: ledger.settle(claim, Outcome.succeeded("done", changes=(SaveService(WEB),))),
        "retry_later": lambda claim: ledger.retry_later(claim, 1, "code", "why"),
        "reroute": lambda claim: ledger.reroute(claim, "n9"),
        "intend_many": lambda claim: ledger.intend_many(claim, 0, [("set-env", {})], LEASE),
        "advance": lambda claim: ledger.advance(claim, 0, {}, "DONE", 1, LEASE),
        "undo_many": lambda claim: ledger.undo_many(claim, {0: {}}, LEASE),
        "conclude_with_rows": lambda claim: ledger.conclude(claim, 0, "DONE", {}, LEASE, (SaveService(WEB),)),
        "bump": lambda claim: ledger.bump(claim, LEASE),
        "reserve": lambda claim: ledger.reserve(claim, ["db"], LEASE),
        "postpone": lambda claim: ledger.postpone(claim, 1, "code", "why"),
    }


WEB = Service("web", "acme", "web", "web", node="n1", document={"env": {"A": "1"}})
WRITES = [
    "renew", "intend", "conclude", "turn_back", "settle", "retry_later", "reroute", "intend_many", "advance",
    "undo_many", "conclude_with_rows", "bump", "reserve", "postpone",
]  # fmt: skip


@pytest.mark.parametrize("write", WRITES)
def test_a_holder_that_was_taken_over_writes_nothing(bench: Bench, write: str) -> None:
    """I7: each write of a stale claim raises LeaseLost and leaves no trace."""
    stale = bench.running()
    bench.now += LEASE + 1
    bench.claim_one(owner="n2:1")
    before = bench.get(stale.operation.op_id)
    with pytest.raises(LeaseLost):
        _every_write(bench)[write](stale)
    assert bench.get(stale.operation.op_id) == before
    assert bench.database.ledger.steps(stale.operation.op_id) == []
    assert bench.database.services.get("web") is None
    assert bench.topics() == []


@pytest.mark.parametrize("write", WRITES)
def test_nothing_is_written_to_an_operation_that_has_ended(bench: Bench, write: str) -> None:
    claim = bench.running()
    bench.fail(claim)
    with pytest.raises(LeaseLost):
        _every_write(bench)[write](claim)
    assert bench.state(claim.operation.op_id) is State.FAILED
    assert len(bench.topics()) == 1


@pytest.mark.parametrize("write", WRITES)
def test_a_lease_that_was_given_back_is_lost(bench: Bench, write: str) -> None:
    claim = bench.running()
    bench.database.ledger.release(claim)
    with pytest.raises(LeaseLost):
        _every_write(bench)[write](claim)


def test_an_expired_lease_that_nobody_took_still_counts(bench: Bench) -> None:
    claim = bench.running()
    bench.now += 10 * LEASE
    assert bench.database.ledger.renew(claim, LEASE) is False
    bench.succeed(claim)


def test_a_stale_release_is_silent_and_changes_nothing(bench: Bench) -> None:
    stale = bench.running()
    bench.now += LEASE + 1
    bench.claim_one(owner="n2:1")
    before = bench.get(stale.operation.op_id)
    bench.database.ledger.release(stale)
    assert bench.get(stale.operation.op_id) == before
