"""The port `Ledger`, second half: how a claim ends, once, and how an operation goes back into the queue."""

from __future__ import annotations

import pytest

from domain.errors import LeaseLost, WrongTenant
from domain.operation import State
from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.contract.sql_bench import ANN, LEASE, Bench, accepted

CLAIMED_STATES = [State.SUCCEEDED, State.ROLLED_BACK, State.FAILED, State.CANCELLED]
WEB = Service("web", "acme", "web", "web", node="n1", document={"env": {"A": "1"}})


@pytest.mark.parametrize("state", CLAIMED_STATES)
def test_an_operation_ends_once_with_one_event(bench: Bench, state: State) -> None:
    """I5"""
    claim = bench.running()
    bench.database.ledger.settle(claim, Outcome(state, "the end", code="why"))
    operation = bench.get(claim.operation.op_id)
    assert (operation.state, operation.error_code, operation.lease_until) == (state, "why", 0)
    assert operation.outcome is not None and operation.outcome["sentence"] == "the end"
    assert bench.topics() == [f"create-snapshot.{Outcome(state, '').event_name()}.acme"]
    assert bench.letters() == (["why"] if state is State.FAILED else [])


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.COMPENSATING])
def test_a_state_that_is_no_end_is_refused(bench: Bench, state: State) -> None:
    with pytest.raises(ValueError, match="cannot be settled"):
        bench.database.ledger.settle(bench.running(), Outcome(state, "?"))


def test_settling_writes_the_domain_rows_in_the_same_transaction(bench: Bench) -> None:
    """I4"""
    bench.make(SaveService(WEB))
    assert bench.database.services.get("web") == WEB


def test_a_service_of_another_tenant_is_never_overwritten(bench: Bench) -> None:
    """I19: and nothing of that settling is written."""
    bench.make(SaveService(WEB))
    bench.topics()
    claim = bench.running(tenant="mallory")
    with pytest.raises(WrongTenant):
        bench.succeed(claim, SaveService(Service("web", "mallory", "x", "x")))
    assert bench.database.services.get("web") == WEB
    assert bench.state(claim.operation.op_id) is State.RUNNING
    assert bench.topics() == []


def test_queued_local_work_follows_its_service_to_another_node(bench: Bench) -> None:
    bench.make(SaveService(WEB))
    move = bench.running()
    follows = bench.accept_one(local=True)
    pinned = bench.accept_one(local=True, node="n1")
    other = bench.accept_one(service="other", local=True, node="n1")
    bench.succeed(move, SaveService(Service("web", "acme", "web", "web", node="n2")))
    assert [bench.get(op_id).node for op_id in (follows, pinned, other)] == ["n2", "n1", "n1"]


def test_a_retry_waits_for_its_delay_and_counts_an_attempt(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.retry_later(claim, 10_000, "store-unavailable", "the store did not answer")
    operation = bench.get(claim.operation.op_id)
    assert (operation.attempts, operation.error_code, operation.claims_no_progress) == (1, "store-unavailable", 0)
    bench.now += 9_999
    assert bench.claim() == []
    bench.now += 1
    assert bench.claim_one().takeover


def test_rerouted_work_is_done_by_the_other_node_and_costs_nothing(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.reroute(claim, "n2")
    assert bench.claim(node="n1") == []
    operation = bench.claim_one(node="n2").operation
    assert (operation.attempts, operation.claims_no_progress) == (0, 1)


def test_released_work_is_claimable_at_once_and_costs_nothing(bench: Bench) -> None:
    bench.database.ledger.release(bench.running())
    operation = bench.claim_one().operation
    assert (operation.attempts, operation.claims_no_progress) == (0, 1)


def test_the_leases_of_dead_processes_are_freed_and_no_others(bench: Bench) -> None:
    bench.accept(accepted("m1", "a"), accepted("m2", "b"))
    bench.claim(limit=1, owner="dead")
    bench.claim(limit=1, owner="alive")
    assert bench.database.ledger.release_dead(lambda owner: owner == "dead") == 1
    claim = bench.claim_one()
    assert (claim.operation.message_id, claim.operation.claims_no_progress) == ("m1", 2)


# ---------------------------------------------------------------- deadlines
def test_what_nobody_started_before_its_deadline_ends_wherever_it_should_have_run(bench: Bench) -> None:
    """I2: no operation waits for ever for a node that never comes."""
    late = bench.accept_one("late", deadline_ms=bench.now + 1000, node="gone")
    patient = bench.accept_one("patient", service="db", deadline_ms=bench.now + 10_000)
    bench.now += 2000
    assert bench.database.ledger.expire() == 1
    assert (bench.state(late), bench.get(late).error_code) == (State.CANCELLED, "deadline-exceeded")
    assert bench.state(patient) is State.QUEUED
    assert bench.topics() == ["create-snapshot.cancelled.acme"]
    assert bench.database.ledger.expire() == 0


def test_what_has_been_started_is_not_expired_behind_its_worker(bench: Bench) -> None:
    op_id = bench.accept_one("running", deadline_ms=bench.now + 1000)
    bench.claim_one()
    bench.now += 2000
    assert bench.database.ledger.expire() == 0
    assert bench.state(op_id) is State.RUNNING


# ---------------------------------------------------------------- cancelling
def test_what_has_not_started_is_cancelled_at_once(bench: Bench) -> None:
    op_id = bench.accept_one()
    assert bench.database.ledger.request_cancel(op_id) is State.CANCELLED
    assert bench.claim() == []
    assert bench.topics() == ["create-snapshot.cancelled.acme"]


def test_what_runs_is_asked_to_stop(bench: Bench) -> None:
    claim = bench.running()
    assert bench.database.ledger.request_cancel(claim.operation.op_id) is State.RUNNING
    assert bench.get(claim.operation.op_id).cancel_requested


def test_what_waits_for_a_retry_sees_the_cancel_at_once(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.retry_later(claim, 3_600_000, "store-unavailable", "")
    bench.database.ledger.request_cancel(claim.operation.op_id)
    assert bench.claim_one().operation.cancel_requested


def test_what_has_ended_stays_as_it_is(bench: Bench) -> None:
    claim = bench.running()
    bench.succeed(claim)
    assert bench.database.ledger.request_cancel(claim.operation.op_id) is State.SUCCEEDED
    assert len(bench.topics()) == 1


def test_cancelling_what_does_not_exist_is_nothing(bench: Bench) -> None:
    assert bench.database.ledger.request_cancel("none") is None
    assert bench.database.ledger.get("none") is None


def _told(bench: Bench, op_id: str) -> tuple[str, str]:
    """What the row keeps for the tenant, and what the newest event of the operation says."""
    kept = bench.get(op_id).outcome
    events = [event for event in bench.database.outbox.take(100, 0) if event.op_id == op_id]
    assert kept is not None
    return kept["tenant_sentence"], events[-1].payload["data"]["tenant_sentence"]


def test_every_way_to_an_end_keeps_and_tells_the_tenant_s_sentence(bench: Bench) -> None:
    """It is the same in the row and in the event, also for what no worker ends."""
    done = bench.running("a")
    bench.succeed(done)
    assert _told(bench, done.operation.op_id) == ("The snapshot was made and checked.",) * 2
    unstarted = bench.accept_one(service="b")
    bench.database.ledger.request_cancel(unstarted)
    assert _told(bench, unstarted) == ("The snapshot was cancelled; nothing was changed.",) * 2
    late = bench.accept_one(service="d", deadline_ms=bench.now + 5)
    bench.now += 10
    bench.database.ledger.expire()
    assert _told(bench, late) == ("The snapshot could not be done in time; nothing was changed.",) * 2
    stuck = bench.running("c")
    bench.database.ledger.settle(stuck, Outcome(State.STUCK, "it is broken", code="undo-failed"))
    bench.database.ledger.resolve_stuck(stuck.operation.op_id, "accept", ANN, "by hand")
    assert (
        _told(bench, stuck.operation.op_id)
        == ("The snapshot could not end by itself; an operator has put everything back as it was.",) * 2
    )


def test_a_lease_and_a_wait_last_as_long_as_they_were_granted_for_when_the_clock_goes_back(bench: Bench) -> None:
    """Not for as long as the clock has gone back, and never shorter: who holds one still counts on it."""
    held, waiting = bench.running("held"), bench.running("waiting")
    bench.database.ledger.retry_later(waiting, 5_000, "store-unavailable", "away")
    bench.now -= 3 * 3_600_000
    bench.database.ledger.expire()
    assert bench.claim(owner="n1:2") == []
    bench.now += 5_001
    assert [claim.operation.service_id for claim in bench.claim(owner="n1:2")] == ["waiting"]
    bench.now += LEASE - 5_001
    assert bench.claim(owner="n1:2") == []
    bench.now += 1
    assert [claim.operation.service_id for claim in bench.claim(owner="n1:2")] == ["held"]
    with pytest.raises(LeaseLost):
        bench.succeed(held)


def test_an_event_that_a_relay_holds_is_told_soon_although_the_clock_has_gone_back(bench: Bench) -> None:
    bench.succeed(bench.running())
    (event,) = bench.database.outbox.take(10, 15_000)
    bench.now += 10_000
    assert bench.database.outbox.take(10, 15_000) == []
    bench.now -= 3 * 3_600_000
    assert bench.database.outbox.take(10, 15_000) == [event]
