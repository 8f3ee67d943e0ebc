"""Reserved services: one operation holds several of them under one fence, and never does a service have two holders."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest

from domain.contracts import Claim
from domain.errors import LeaseLost, ServiceBusy
from domain.operation import State
from domain.outcome import Outcome
from tests.contract.sql_bench import ANN, LEASE, Bench

ENDS = [State.SUCCEEDED, State.ROLLED_BACK, State.FAILED, State.CANCELLED]


def _group(bench: Bench, *members: str, subject: str = "web") -> Claim:
    """An operation of `subject` that holds the members as well."""
    claim = bench.running(subject)
    bench.database.ledger.reserve(claim, members, LEASE)
    return claim


# ---------------------------------------------------------------- one fence for all
def test_all_services_of_a_group_get_one_fence_above_all_of_theirs(bench: Bench) -> None:
    for _ in range(3):
        bench.succeed(bench.running("db"))
    claim = _group(bench, "db", "never-seen")
    op_id = claim.operation.op_id
    assert claim.fence == bench.get(op_id).fence == 4
    assert bench.fences() == dict.fromkeys(("web", "db", "never-seen"), (4, op_id))


def test_reserving_renews_the_lease(bench: Bench) -> None:
    claim = bench.running()
    bench.now += LEASE // 2
    bench.database.ledger.reserve(claim, ["db"], LEASE)
    assert bench.get(claim.operation.op_id).lease_until == bench.now + LEASE


def test_reserving_twice_is_harmless_and_reserving_more_raises_all(bench: Bench) -> None:
    claim = _group(bench, "db")
    bench.database.ledger.reserve(claim, ["db"], LEASE)
    bench.database.ledger.reserve(claim, ["cache"], LEASE)
    assert {fence for fence, _ in bench.fences().values()} == {claim.fence}
    assert {holder for _, holder in bench.fences().values()} == {claim.operation.op_id}
    bench.succeed(claim)


def test_a_bump_raises_every_service_that_is_held_and_no_other(bench: Bench) -> None:
    bench.succeed(bench.running("other"))
    claim = _group(bench, "db")
    before = claim.fence
    bench.database.ledger.bump(claim, LEASE)
    assert claim.fence == bench.get(claim.operation.op_id).fence == before + 1
    assert {name: fence for name, (fence, _) in bench.fences().items()} == {
        "web": before + 1,
        "db": before + 1,
        "other": 1,
    }
    bench.succeed(claim)


def test_a_bump_without_a_reservation_raises_the_service_and_renews_the_lease(bench: Bench) -> None:
    claim = bench.running()
    bench.now += LEASE // 2
    bench.database.ledger.bump(claim, LEASE)
    assert (claim.fence, bench.fences()) == (2, {"web": (2, "")})
    assert bench.get(claim.operation.op_id).lease_until == bench.now + LEASE


def test_the_token_of_before_a_bump_writes_nothing_more(bench: Bench) -> None:
    """I7"""
    claim = bench.running()
    earlier = copy.copy(claim)
    bench.database.ledger.bump(claim, LEASE)
    with pytest.raises(LeaseLost):
        bench.database.ledger.renew(earlier, LEASE)
    bench.succeed(claim)


def _bump(bench: Bench, claim: Claim) -> None:
    bench.database.ledger.bump(claim, LEASE)


def _reserve(bench: Bench, claim: Claim) -> None:
    bench.database.ledger.reserve(claim, ["cache"], LEASE)


@pytest.mark.parametrize("write", [_bump, _reserve])
def test_a_holder_that_was_taken_over_raises_no_fence(bench: Bench, write: Callable[[Bench, Claim], None]) -> None:
    """I7, I11"""
    stale = _group(bench, "db")
    kept = stale.fence
    bench.now += LEASE + 1
    bench.claim_one(owner="n2:1")
    before = bench.fences()
    with pytest.raises(LeaseLost):
        write(bench, stale)
    assert (bench.fences(), stale.fence) == (before, kept)


def test_a_takeover_raises_all_services_to_one_number_above_all(bench: Bench) -> None:
    """I11"""
    stale = _group(bench, "db", "cache")
    bench.now += LEASE + 1
    claim = bench.claim_one(owner="n2:1")
    assert claim.takeover and claim.fence > stale.fence
    assert bench.fences() == dict.fromkeys(("web", "db", "cache"), (claim.fence, claim.operation.op_id))


# ---------------------------------------------------------------- refusals
def _work(bench: Bench, state: State) -> None:
    claim = bench.running("db")
    if state is State.COMPENSATING:
        bench.database.ledger.turn_back(claim, Outcome(State.FAILED, "refused"))
    if state is State.STUCK:
        bench.database.ledger.settle(claim, Outcome(state, "cannot be put back", code="undo-failed"))


@pytest.mark.parametrize("state", [State.RUNNING, State.COMPENSATING, State.STUCK])
def test_a_service_that_is_worked_on_is_busy_and_nothing_is_written(bench: Bench, state: State) -> None:
    _work(bench, state)
    claim = bench.running()
    op_id, fence = claim.operation.op_id, claim.fence
    operation_before, fences_before = bench.get(op_id), bench.fences()
    bench.now += 1
    with pytest.raises(ServiceBusy, match="db"):
        bench.database.ledger.reserve(claim, ["cache", "db"], LEASE)
    assert (bench.get(op_id), bench.fences(), claim.fence) == (operation_before, fences_before, fence)
    bench.succeed(claim)


def test_a_service_that_waits_for_its_retry_is_busy(bench: Bench) -> None:
    bench.database.ledger.retry_later(bench.running("db"), 10_000, "store-unavailable", "no answer")
    with pytest.raises(ServiceBusy):
        bench.database.ledger.reserve(bench.running(), ["db"], LEASE)


def test_a_service_that_another_group_holds_is_busy_and_nothing_is_written(bench: Bench) -> None:
    _group(bench, "db")
    second = bench.running("shop")
    before = bench.fences()
    with pytest.raises(ServiceBusy, match="db"):
        bench.database.ledger.reserve(second, ["cache", "db"], LEASE)
    assert bench.fences() == before


def test_two_groups_that_need_each_other_are_both_refused(bench: Bench) -> None:
    """Neither waits while it holds half: whichever gives up first frees the other."""
    one, two = bench.running("web"), bench.running("db")
    for claim, wanted in ((one, "db"), (two, "web")):
        with pytest.raises(ServiceBusy):
            bench.database.ledger.reserve(claim, [wanted], LEASE)
    bench.fail(one)
    bench.database.ledger.reserve(two, ["web"], LEASE)


# ---------------------------------------------------------------- who waits, and until when
@pytest.mark.parametrize("end", ENDS)
def test_what_is_queued_for_a_reserved_service_waits_for_the_end_and_keeps_its_order(bench: Bench, end: State) -> None:
    claim = _group(bench, "db")
    bench.accept_one("first", "db")
    bench.accept_one("second", "db")
    assert bench.claim() == []
    bench.database.ledger.settle(claim, Outcome(end, "the end"))
    assert {holder for _, holder in bench.fences().values()} == {""}
    assert bench.claim_one().operation.message_id == "first"


def test_what_was_queued_before_the_reservation_waits_too(bench: Bench) -> None:
    claim = bench.running()
    bench.accept_one("queued", "db")
    bench.database.ledger.reserve(claim, ["db"], LEASE)
    assert bench.claim() == []
    bench.succeed(claim)
    assert bench.claim_one().fence > claim.fence


def test_a_reserved_service_holds_nobody_else_up(bench: Bench) -> None:
    """Not even a node with one free slot, which asks for the oldest only."""
    _group(bench, "db")
    bench.accept_one("waits", "db")
    bench.accept_one("goes on", "shop")
    assert bench.claim_one(limit=1).operation.message_id == "goes on"


def test_a_cancel_passes_a_reservation(bench: Bench) -> None:
    _group(bench, "db")
    bench.accept_one("cancel", "db", exclusive=False)
    assert bench.claim_one().operation.message_id == "cancel"


def _retry(bench: Bench, claim: Claim) -> None:
    bench.database.ledger.retry_later(claim, 0, "region-unavailable", "no answer")


def _postpone(bench: Bench, claim: Claim) -> None:
    bench.database.ledger.postpone(claim, 0, "waiting", "the breaker is open")


def _release(bench: Bench, claim: Claim) -> None:
    bench.database.ledger.release(claim)


@pytest.mark.parametrize("give_back", [_retry, _postpone, _release])
def test_an_operation_that_goes_back_to_the_queue_keeps_what_it_holds(
    bench: Bench, give_back: Callable[[Bench, Claim], None]
) -> None:
    claim = _group(bench, "db")
    bench.accept_one("waits", "db")
    give_back(bench, claim)
    again = bench.claim_one()
    assert again.operation.op_id == claim.operation.op_id
    assert bench.fences()["db"] == (again.fence, again.operation.op_id)


def test_an_operation_that_is_stuck_keeps_what_it_holds(bench: Bench) -> None:
    claim = _group(bench, "db")
    bench.accept_one("waits", "db")
    bench.database.ledger.settle(claim, Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    bench.now += 10 * LEASE
    assert bench.claim() == []
    assert bench.fences()["db"][1] == claim.operation.op_id


@pytest.mark.parametrize(("how", "held"), [("retry", True), ("accept", False), ("force", False)])
def test_a_word_that_ends_it_frees_what_it_holds(bench: Bench, how: str, held: bool) -> None:
    claim = _group(bench, "db")
    bench.accept_one("waits", "db")
    bench.database.ledger.settle(claim, Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    bench.database.ledger.resolve_stuck(claim.operation.op_id, how, ANN, "")
    assert (bench.fences()["db"][1] == claim.operation.op_id) is held
    assert bench.claim_one().operation.message_id == (claim.operation.message_id if held else "waits")
