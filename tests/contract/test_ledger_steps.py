"""The port `Ledger`, planned work: a plan is committed whole, a step moves forward only, each move is one commit."""

from __future__ import annotations

from typing import Any

import pytest

from domain.contracts import Claim
from domain.errors import WrongTenant
from domain.operation import StepState
from domain.outcome import AddSnapshot, SaveService
from domain.service import Service
from storage.sql.transactions import Conflict
from tests.contract.sql_bench import LEASE, Bench, pack_key, snapshot

PLAN: list[tuple[str, dict[str, Any]]] = [("set-env", {"name": "A"}), ("set-port", {"port": 80}), ("deploy", {})]
MOVES = {
    (StepState.INTENT, StepState.DONE),
    (StepState.INTENT, StepState.IGNORED),
    (StepState.INTENT, StepState.UNDONE),
    (StepState.DONE, StepState.UNDONE),
    (StepState.IGNORED, StepState.UNDONE),
}
ENDS = [StepState.DONE, StepState.IGNORED, StepState.UNDONE]


def _planned(bench: Bench) -> Claim:
    claim = bench.running()
    bench.database.ledger.intend_many(claim, 0, PLAN, LEASE)
    return claim


def _states(bench: Bench, claim: Claim) -> list[str]:
    return [step.state.value for step in bench.database.ledger.steps(claim.operation.op_id)]


def _bring(bench: Bench, claim: Claim, state: StepState) -> None:
    """Step 0, which is PENDING, to that state."""
    ledger = bench.database.ledger
    if state is not StepState.PENDING:
        ledger.intend(claim, 0, *PLAN[0], (), LEASE)
    if state not in (StepState.PENDING, StepState.INTENT):
        ledger.conclude(claim, 0, state.value, {}, LEASE)


# ---------------------------------------------------------------- the plan
def test_a_plan_is_committed_as_pending_steps_that_have_not_begun(bench: Bench) -> None:
    claim = _planned(bench)
    steps = bench.database.ledger.steps(claim.operation.op_id)
    assert [(step.ordinal, step.kind, step.request) for step in steps] == [(n, *item) for n, item in enumerate(PLAN)]
    assert {(step.state, step.began_at, step.fence) for step in steps} == {(StepState.PENDING, 0, claim.fence)}


def test_a_plan_goes_on_after_the_steps_that_are_there(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.intend(claim, 0, "protect", {}, (), LEASE)
    bench.database.ledger.intend_many(claim, 1, PLAN, LEASE)
    assert _states(bench, claim) == ["INTENT", "PENDING", "PENDING", "PENDING"]


def test_a_plan_never_replaces_a_step_and_is_written_whole_or_not(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.intend(claim, 2, "protect", {}, (), LEASE)
    with pytest.raises(Conflict):
        bench.database.ledger.intend_many(claim, 0, PLAN, LEASE)
    assert [step.kind for step in bench.database.ledger.steps(claim.operation.op_id)] == ["protect"]


def test_an_empty_plan_is_no_step(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.intend_many(claim, 0, [], LEASE)
    assert _states(bench, claim) == []


def test_planning_renews_the_lease_and_is_progress(bench: Bench) -> None:
    claim = bench.running()
    bench.now += LEASE // 2
    bench.database.ledger.intend_many(claim, 0, PLAN, LEASE)
    found = bench.get(claim.operation.op_id)
    assert (found.lease_until, found.claims_no_progress) == (bench.now + LEASE, 0)


# ---------------------------------------------------------------- advancing
def test_advancing_ends_a_step_and_begins_the_next(bench: Bench) -> None:
    claim = _planned(bench)
    ledger = bench.database.ledger
    ledger.intend(claim, 0, *PLAN[0], (), LEASE)
    bench.database.ledger.bump(claim, LEASE)
    bench.now += 5
    ledger.advance(claim, 0, {"code": 200}, "DONE", 1, LEASE)
    first, second, third = ledger.steps(claim.operation.op_id)
    assert (first.state, first.reply, first.updated_at) == (StepState.DONE, {"code": 200}, bench.now)
    assert (second.state, second.request, second.began_at) == (StepState.INTENT, PLAN[1][1], bench.now)
    assert (second.fence, third.state) == (claim.fence, StepState.PENDING)
    assert bench.get(claim.operation.op_id).lease_until == bench.now + LEASE


def test_a_step_that_does_not_matter_is_passed(bench: Bench) -> None:
    claim = _planned(bench)
    _bring(bench, claim, StepState.INTENT)
    bench.database.ledger.advance(claim, 0, {"code": 404}, "IGNORED", 1, LEASE)
    assert _states(bench, claim) == ["IGNORED", "INTENT", "PENDING"]


@pytest.mark.parametrize("following", [0, 1, 9])
def test_advancing_to_what_is_not_pending_writes_nothing(bench: Bench, following: int) -> None:
    """Itself, one that has begun, and one that does not exist."""
    claim = _planned(bench)
    _bring(bench, claim, StepState.INTENT)
    bench.database.ledger.intend(claim, 1, *PLAN[1], (), LEASE)
    with pytest.raises(ValueError, match="is not PENDING"):
        bench.database.ledger.advance(claim, 0, {}, "DONE", following, LEASE)
    assert _states(bench, claim) == ["INTENT", "INTENT", "PENDING"]


def test_advancing_from_a_step_that_has_not_begun_writes_nothing(bench: Bench) -> None:
    claim = _planned(bench)
    with pytest.raises(ValueError, match="cannot become DONE"):
        bench.database.ledger.advance(claim, 0, {}, "DONE", 1, LEASE)
    assert _states(bench, claim) == ["PENDING"] * 3


# ---------------------------------------------------------------- the moves of a step
@pytest.mark.parametrize("wanted", ENDS)
@pytest.mark.parametrize("state", list(StepState))
def test_a_step_moves_forward_only(bench: Bench, state: StepState, wanted: StepState) -> None:
    """I10: every pair of states; concluding it the same way twice is harmless."""
    claim = _planned(bench)
    _bring(bench, claim, state)
    if (state, wanted) in MOVES or state is wanted:
        bench.database.ledger.conclude(claim, 0, wanted.value, {}, LEASE)
        assert _states(bench, claim)[0] == wanted.value
    else:
        with pytest.raises(ValueError, match=f"cannot become {wanted.value}"):
            bench.database.ledger.conclude(claim, 0, wanted.value, {}, LEASE)
        assert _states(bench, claim)[0] == state.value


@pytest.mark.parametrize("wanted", ["PENDING", "INTENT"])
def test_no_step_is_concluded_as_not_concluded(bench: Bench, wanted: str) -> None:
    claim = _planned(bench)
    _bring(bench, claim, StepState.INTENT)
    with pytest.raises(ValueError, match=f"cannot become {wanted}"):
        bench.database.ledger.conclude(claim, 0, wanted, {}, LEASE)


def test_several_touched_steps_are_put_back_in_one_commit(bench: Bench) -> None:
    claim = _planned(bench)
    _bring(bench, claim, StepState.INTENT)
    bench.database.ledger.advance(claim, 0, {}, "DONE", 1, LEASE)
    bench.database.ledger.undo_many(claim, {0: {"restored": True}, 1: {"restored": True}}, LEASE)
    steps = bench.database.ledger.steps(claim.operation.op_id)
    assert [step.state.value for step in steps] == ["UNDONE", "UNDONE", "PENDING"]
    assert [step.reply for step in steps] == [{"restored": True}, {"restored": True}, {}]


def test_of_several_steps_none_is_put_back_when_one_was_never_touched(bench: Bench) -> None:
    claim = _planned(bench)
    _bring(bench, claim, StepState.INTENT)
    with pytest.raises(ValueError, match="step 1 of operation"):
        bench.database.ledger.undo_many(claim, {0: {}, 1: {}}, LEASE)
    assert _states(bench, claim) == ["INTENT", "PENDING", "PENDING"]


def test_a_step_keeps_its_beginning_when_it_ends(bench: Bench) -> None:
    claim = bench.running()
    began = bench.now
    bench.database.ledger.intend(claim, 0, "stage", {}, (), LEASE)
    bench.now += 7
    bench.database.ledger.conclude(claim, 0, "DONE", {}, LEASE)
    (step,) = bench.database.ledger.steps(claim.operation.op_id)
    assert (step.began_at, step.updated_at, step.fence) == (began, began + 7, claim.fence)


# ---------------------------------------------------------------- domain rows with a step
def test_a_snapshot_becomes_available_with_its_step(bench: Bench) -> None:
    claim = _planned(bench)
    _bring(bench, claim, StepState.INTENT)
    made = snapshot(claim.operation.op_id, (pack_key(claim.operation.op_id, "a"),))
    bench.database.ledger.conclude(claim, 0, "DONE", {}, LEASE, (AddSnapshot(made),))
    assert bench.database.catalogue.get(made.snapshot_id) == made
    assert _states(bench, claim)[0] == "DONE"


def test_a_change_that_is_refused_leaves_the_step_as_it_was(bench: Bench) -> None:
    bench.make(SaveService(Service("web", "acme", "web", "web")))
    claim = _planned(bench)
    _bring(bench, claim, StepState.INTENT)
    with pytest.raises(WrongTenant):
        bench.database.ledger.conclude(claim, 0, "DONE", {}, LEASE, (SaveService(Service("web", "mallory", "x", "x")),))
    assert _states(bench, claim)[0] == "INTENT"


# ---------------------------------------------------------------- waiting
def test_waiting_is_no_attempt_and_no_sign_of_poison(bench: Bench) -> None:
    bench.accept_one()
    for _ in range(5):
        claim = bench.claim_one()
        assert (claim.operation.attempts, claim.operation.claims_no_progress) == (0, 1)
        bench.database.ledger.postpone(claim, 10_000, "region-paused", "the breaker is open")
        assert bench.get(claim.operation.op_id).error_code == "region-paused"
        bench.now += 9_999
        assert bench.claim() == []
        bench.now += 1
