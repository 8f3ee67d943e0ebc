"""The port `Ledger`: who may work on what, and what a holder that has lost its lease can still do: nothing."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from domain.contracts import Claim
from domain.operation import State, StepState
from domain.outcome import AddSnapshot, MarkCorrupt, Outcome, SaveService
from domain.service import Service
from domain.snapshot import SnapshotState
from storage.sql import claim as claiming
from storage.sql.capacity import Capacity, capacity
from storage.sql.tables import operation as operation_table
from tests.contract.sql_bench import LEASE, Bench, accepted, snapshot

WEB = Service("web", "acme", "web", "web", node="n1", document={"env": {"A": "1"}})


def _ids(claims: list[Claim]) -> list[str]:
    return [claim.operation.message_id for claim in claims]


# ---------------------------------------------------------------- claiming
def test_a_claim_holds_the_operation_with_a_fence_and_a_lease(bench: Bench) -> None:
    bench.accept_one("m1", data={"x": 1})
    operation = bench.claim_one(owner="n1:77").operation
    assert (operation.state, operation.owner, operation.data) == (State.RUNNING, "n1:77", {"x": 1})
    assert (operation.fence, operation.lease_until) == (1, bench.now + LEASE)
    assert operation.claims_no_progress == 1


def test_the_time_of_a_claim_is_not_before_what_it_has_seen(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks for the time, and then for what is ready; what was committed in between is younger than that time."""
    op_id = bench.accept_one()
    bench.now -= 6

    def slowly(*args: Any) -> Capacity:
        bench.now += 6
        return capacity(*args)

    monkeypatch.setattr(claiming, "capacity", slowly)
    taken = bench.claim_one().operation
    assert (taken.op_id, taken.lease_until - LEASE) == (op_id, taken.created_at)


def test_a_held_operation_is_not_claimed_again(bench: Bench) -> None:
    bench.running()
    assert bench.claim() == []


def test_an_expired_lease_is_taken_over_with_a_higher_fence(bench: Bench) -> None:
    first = bench.running()
    bench.now += LEASE + 1
    second = bench.claim_one(owner="n2:1")
    assert (first.takeover, second.takeover) == (False, True)
    assert second.operation.fence > first.operation.fence


def test_the_fence_grows_with_every_claim_of_the_service(bench: Bench) -> None:
    """I11"""
    fences = []
    for _ in range(4):
        claim = bench.running()
        fences.append(claim.operation.fence)
        bench.succeed(claim)
    assert fences == [1, 2, 3, 4]


def test_operations_of_one_service_come_one_at_a_time_in_order(bench: Bench) -> None:
    """I7"""
    bench.accept(*[accepted(f"m{n}") for n in range(3)])
    seen = []
    for _ in range(3):
        claims = bench.claim()
        seen += _ids(claims)
        assert len(claims) == 1
        bench.succeed(claims[0])
    assert seen == ["m0", "m1", "m2"]


def test_different_services_are_claimed_together_oldest_first(bench: Bench) -> None:
    bench.accept(*[accepted(f"m{n}", f"s{n}") for n in range(5)])
    assert _ids(bench.claim(limit=3)) == ["m0", "m1", "m2"]
    assert _ids(bench.claim(limit=3)) == ["m3", "m4"]


def test_an_operation_that_waits_for_its_retry_still_comes_first_in_its_service(bench: Bench) -> None:
    claim = bench.running()
    bench.accept_one("later")
    bench.database.ledger.retry_later(claim, 10_000, "store-unavailable", "the store did not answer")
    assert bench.claim() == []


def test_a_stuck_operation_keeps_its_service_reserved(bench: Bench) -> None:
    claim = bench.running()
    bench.accept_one("later")
    bench.database.ledger.settle(claim, Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    bench.now += 10 * LEASE
    assert bench.claim() == []
    assert bench.letters() == ["undo-failed"]


def test_a_non_exclusive_operation_passes_its_service(bench: Bench) -> None:
    """A cancel must not wait for what it cancels."""
    bench.running()
    bench.accept_one("cancel", exclusive=False)
    claim = bench.claim_one()
    assert (claim.operation.message_id, claim.operation.fence) == ("cancel", 1)


def test_a_non_exclusive_operation_does_not_raise_the_fence_of_its_service(bench: Bench) -> None:
    holder = bench.running()
    bench.accept_one("cancel", exclusive=False)
    bench.succeed(bench.claim_one())
    bench.succeed(holder)
    assert bench.state(holder.operation.op_id) is State.SUCCEEDED


def test_a_message_that_was_numbered_earlier_and_committed_later_does_not_block_what_runs(bench: Bench) -> None:
    """Two ingresses commit in the other order than they took their numbers; the running one must go on."""
    bench.accept(accepted("early"), accepted("late"))
    engine = bench.database._engine
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE operation SET state='RUNNING', fence=0, lease_until=1 WHERE message_id='late'"
        )
    claim = bench.claim_one()
    assert claim.operation.message_id == "late"
    assert bench.claim() == []
    bench.succeed(claim)
    assert bench.claim_one().operation.message_id == "early"


def test_work_that_is_bound_to_a_node_is_claimed_only_there(bench: Bench) -> None:
    bench.accept_one("there", node="n2")
    assert bench.claim(node="n1") == []
    assert _ids(bench.claim(node="n2")) == ["there"]


def test_neither_bound_nor_free_work_starves_the_other(bench: Bench) -> None:
    bench.accept(*[accepted(f"own{n}", f"a{n}", node="n1") for n in range(4)])
    bench.accept(*[accepted(f"any{n}", f"b{n}") for n in range(4)])
    seen = _ids(bench.claim(limit=1)) + _ids(bench.claim(limit=1))
    assert sorted(seen) == ["any0", "own0"]


def test_a_full_claim_mixes_bound_and_free_work(bench: Bench) -> None:
    bench.accept(accepted("own", "a", node="n1"), accepted("any", "b"))
    assert sorted(_ids(bench.claim(limit=2))) == ["any", "own"]


def test_data_that_does_not_open_rests_and_stops_nobody(bench: Bench) -> None:
    closed = bench.accept_one("closed", "a")
    bench.accept_one("open", "b")
    bench.sealer.lost_rows.add(closed)
    claim = bench.claim_one()
    assert claim.operation.message_id == "open"
    bench.succeed(claim)
    assert bench.claim() == []
    bench.sealer.lost_rows.clear()
    assert bench.get(closed).error_code == "data-unreadable"
    bench.now += 5 * 60_000
    assert _ids(bench.claim()) == ["closed"]


def _listed(bench: Bench, op_id: str) -> State:
    """As lists show it, which open nothing."""
    return next(one.state for one in bench.database.list_operations(limit=10) if one.op_id == op_id)


def test_a_cancel_ends_what_does_not_open_and_its_service_goes_on(bench: Bench) -> None:
    """I2"""
    closed, following = bench.accept_one("closed", "a"), bench.accept_one("following", "a")
    bench.sealer.lost_rows.add(closed)
    assert bench.claim() == []
    assert bench.database.ledger.request_cancel(closed) is State.CANCELLED
    assert bench.claim_one().operation.op_id == following


def test_a_deadline_ends_what_does_not_open(bench: Bench) -> None:
    """I2"""
    closed = bench.accept_one("closed", "a", deadline_ms=bench.now + 10)
    bench.sealer.lost_rows.add(closed)
    assert bench.claim() == []
    bench.now += 11
    assert bench.database.ledger.expire() == 1
    assert _listed(bench, closed) is State.CANCELLED


@pytest.mark.parametrize(("begun", "end"), [(False, State.CANCELLED), (True, State.STUCK)])
def test_a_cancel_ends_what_no_longer_opens_once_its_journal_allows(bench: Bench, begun: bool, end: State) -> None:
    """I2: what it has begun cannot be put back without its data, so that a person is told."""
    op_id = bench.accept_one("closed", "a")
    claim = bench.claim_one()
    if begun:
        bench.database.ledger.intend(claim, 0, "swap", {}, (), LEASE)
    bench.database.ledger.retry_later(claim, 1_000, "store-unavailable", "no answer")
    bench.sealer.lost_rows.add(op_id)
    bench.now += 1_000
    assert bench.claim() == []
    assert _listed(bench, op_id) is State.RUNNING, "it waits for its key"
    bench.now += 5 * 60_000
    assert bench.database.ledger.request_cancel(op_id) is State.RUNNING
    assert bench.claim() == []
    assert _listed(bench, op_id) is end
    assert bench.letters() == (["data-unreadable"] if begun else [])
    told = [event.topic for event in bench.database.outbox.take(10, 0)]
    assert told == [f"create-snapshot.{end.value.lower()}.acme"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_deadline_ends_what_no_longer_opens_only_if_it_has_begun_nothing(bench: Bench, begun: bool) -> None:
    """Whoever has the key can put back what was begun, and that outlasts any deadline."""
    op_id = bench.accept_one("closed", "a", deadline_ms=bench.now + 1_500)
    claim = bench.claim_one()
    if begun:
        bench.database.ledger.intend(claim, 0, "swap", {}, (), LEASE)
        bench.database.ledger.turn_back(claim, Outcome(State.CANCELLED, "too late", code="deadline-exceeded"))
    bench.database.ledger.retry_later(claim, 2_000, "store-unavailable", "no answer")
    bench.sealer.lost_rows.add(op_id)
    bench.now += 2_000
    assert bench.claim() == []
    assert _listed(bench, op_id) is (State.COMPENSATING if begun else State.CANCELLED)


# ---------------------------------------------------------------- lease, progress, journal
def test_renewing_extends_the_lease_and_keeps_the_progress(bench: Bench) -> None:
    claim = bench.running()
    bench.now += 30_000
    bench.database.ledger.renew(claim, LEASE, {"bytes_done": 5})
    operation = bench.get(claim.operation.op_id)
    assert (operation.lease_until, operation.progress) == (bench.now + LEASE, {"bytes_done": 5})


def test_a_spare_slot_takes_only_cancels(bench: Bench) -> None:
    """Reading a snapshot back reserves nothing either, and may take hours."""
    bench.accept_one("work")
    bench.accept_one("look", kind="verify-snapshot", exclusive=False)
    bench.accept_one("cancel", kind="cancel-operation", exclusive=False)
    taken = bench.database.ledger.claim("n1", "n1:1", 5, 60_000, cancels_only=True)
    assert [claim.operation.message_id for claim in taken] == ["cancel"]


def test_renewing_tells_that_a_cancel_was_requested(bench: Bench) -> None:
    claim = bench.running()
    assert bench.database.ledger.renew(claim, LEASE) is False
    bench.database.ledger.request_cancel(claim.operation.op_id)
    assert bench.database.ledger.renew(claim, LEASE) is True


def test_claims_without_progress_are_counted_and_progress_forgets_them(bench: Bench) -> None:
    """Poison: an operation that kills its worker again and again is still claimed, and says so."""
    bench.accept_one()
    for expected in range(1, 11):
        claim = bench.claim_one()
        assert claim.operation.claims_no_progress == expected
        bench.now += LEASE + 1
    claim = bench.claim_one()
    bench.database.ledger.renew(claim, LEASE)
    assert bench.get(claim.operation.op_id).claims_no_progress == 11
    bench.database.ledger.renew(claim, LEASE, {"files_done": 1})
    assert bench.get(claim.operation.op_id).claims_no_progress == 0


def test_a_journal_write_is_progress(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.intend(claim, 0, "swap", {}, (), LEASE)
    assert bench.get(claim.operation.op_id).claims_no_progress == 0


def test_an_intent_that_stands_already_is_no_progress_when_it_is_repeated(bench: Bench) -> None:
    """Poison: whoever begins the same step anew, and dies of it, must not be claimed for ever."""
    bench.accept_one()
    for expected in range(3):
        claim = bench.claim_one()
        bench.database.ledger.intend(claim, 0, "staged", {}, (), LEASE)
        assert bench.get(claim.operation.op_id).claims_no_progress == expected
        bench.now += LEASE + 1
    claim = bench.claim_one()
    bench.database.ledger.conclude(claim, 0, "UNDONE", {}, LEASE)
    bench.now += LEASE + 1
    bench.database.ledger.intend(bench.claim_one(), 0, "staged", {}, (), LEASE)
    assert bench.get(claim.operation.op_id).claims_no_progress == 0  # it has been elsewhere meanwhile


def test_steps_are_kept_with_request_and_reply(bench: Bench) -> None:
    claim = bench.running()
    ledger = bench.database.ledger
    ledger.intend(claim, 0, "stage", {"path": "a"}, (), LEASE)
    ledger.conclude(claim, 0, "DONE", {"inode": 7}, LEASE)
    ledger.intend(claim, 1, "swap", {}, (), LEASE)
    first, second = ledger.steps(claim.operation.op_id)
    assert (first.kind, first.state, first.request, first.reply) == (
        "stage",
        StepState.DONE,
        {"path": "a"},
        {"inode": 7},
    )
    assert (second.ordinal, second.state) == (1, StepState.INTENT)


def test_a_step_may_be_begun_again(bench: Bench) -> None:
    claim = bench.running()
    ledger = bench.database.ledger
    ledger.intend(claim, 0, "stage", {"try": 1}, (), LEASE)
    ledger.conclude(claim, 0, "UNDONE", {}, LEASE)
    ledger.intend(claim, 0, "stage", {"try": 2}, (), LEASE)
    (step,) = ledger.steps(claim.operation.op_id)
    assert (step.state, step.request) == (StepState.INTENT, {"try": 2})


def test_a_step_that_was_put_back_is_never_done(bench: Bench) -> None:
    """I10"""
    claim = bench.running()
    ledger = bench.database.ledger
    ledger.intend(claim, 0, "stage", {}, (), LEASE)
    ledger.conclude(claim, 0, "UNDONE", {}, LEASE)
    with pytest.raises(ValueError, match="cannot become DONE"):
        ledger.conclude(claim, 0, "DONE", {}, LEASE)


def test_a_change_that_is_journalled_is_committed_with_the_step(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.intend(claim, 0, "save", {}, (SaveService(WEB),), LEASE)
    assert bench.database.services.get("web") == WEB


def test_turning_back_keeps_the_reason_and_the_claim(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.turn_back(claim, Outcome(State.FAILED, "refused", code="refused"))
    operation = bench.get(claim.operation.op_id)
    assert (operation.state, operation.error_code) == (State.COMPENSATING, "refused")
    assert operation.outcome is not None and operation.outcome["sentence"] == "refused"
    assert bench.claim() == []
    bench.database.ledger.settle(claim, Outcome(State.ROLLED_BACK, "put back"))
    assert bench.state(claim.operation.op_id) is State.ROLLED_BACK


def test_damage_that_was_found_is_marked_with_turning_back_because_another_may_end_it(bench: Bench) -> None:
    """I13"""
    bench.make(AddSnapshot(snapshot("s1")))
    claim = bench.running()
    outcome = Outcome(State.FAILED, "damaged", code="snapshot-damaged", changes=(MarkCorrupt("s1", "a pack is gone"),))
    bench.database.ledger.turn_back(claim, outcome)
    bench.now += LEASE + 1
    bench.database.ledger.settle(bench.claim_one(), Outcome(State.ROLLED_BACK, "put back"))
    found = bench.database.catalogue.get("s1")
    assert found is not None and (found.state, found.fault) == (SnapshotState.CORRUPT, "a pack is gone")


def test_a_compensation_is_taken_over_as_a_compensation(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.turn_back(claim, Outcome(State.FAILED, "refused"))
    bench.now += LEASE + 1
    assert bench.claim_one().operation.state is State.COMPENSATING


def test_a_claim_says_whether_the_last_holder_gave_it_back(bench: Bench) -> None:
    """Metrics tell of workers that die; a retry in good order is no such thing."""
    first = bench.running()
    assert (first.takeover, first.abandoned) == (False, False)
    bench.database.ledger.retry_later(first, 0, "store-unavailable", "away")
    second = bench.claim_one()
    assert (second.takeover, second.abandoned) == (True, False)
    bench.now += LEASE + 1
    third = bench.claim_one()
    assert (third.takeover, third.abandoned) == (True, True)


def test_how_far_an_operation_is_can_be_asked_when_its_data_does_not_open(bench: Bench) -> None:
    claim = bench.running("web")
    with bench.database._engine.begin() as connection:
        connection.execute(update(operation_table).values(data=b"broken"))
    assert bench.database.ledger.state(claim.operation.op_id) is State.RUNNING
    assert bench.database.ledger.state("absent") is None
