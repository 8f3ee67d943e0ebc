"""The port `Ledger`, a person's word on what is STUCK: it counts once, is told once, and is kept with its name."""

from __future__ import annotations

import pytest

from domain.contracts import Claim
from domain.errors import LeaseLost, WrongTenant
from domain.operation import State
from domain.outcome import Item, Outcome, SaveService
from domain.service import Service
from tests.contract.sql_bench import ANN, BOB, LEASE, Bench

WEB = Service("web", "acme", "web", "web", node="n1", document={"env": {"A": "1"}})
STUCK = Outcome(
    State.STUCK,
    "the region refuses the old image",
    code="undo-failed",
    next_step="look at the region",
    items=(Item("image", "refused", "412"),),
    figures={"steps": 3},
)
HOWS = {"retry": State.COMPENSATING, "accept": State.ROLLED_BACK, "force": State.SUCCEEDED}


def _stuck(bench: Bench) -> Claim:
    claim = bench.running()
    bench.database.ledger.turn_back(claim, Outcome(State.FAILED, "refused", code="refused"))
    bench.database.ledger.retry_later(claim, 0, "undo-failed", "again")
    claim = bench.claim_one()
    bench.database.ledger.settle(claim, STUCK)
    return claim


def _told(bench: Bench) -> list[str]:
    return [topic.split(".")[1] for topic in bench.topics()]


@pytest.mark.parametrize("how", HOWS)
def test_a_word_counts_once(bench: Bench, how: str) -> None:
    op_id = _stuck(bench).operation.op_id
    assert bench.database.ledger.resolve_stuck(op_id, how, ANN, "") is HOWS[how]
    decided = bench.get(op_id)
    assert [bench.database.ledger.resolve_stuck(op_id, other, BOB, "") for other in HOWS] == [None] * 3
    assert bench.get(op_id) == decided


def test_a_word_on_what_is_not_stuck_changes_nothing(bench: Bench) -> None:
    op_id = bench.running().operation.op_id
    before = bench.get(op_id)
    assert bench.database.ledger.resolve_stuck(op_id, "accept", ANN, "") is None
    assert bench.database.ledger.resolve_stuck("unknown", "accept", ANN, "") is None
    assert (bench.get(op_id), _told(bench)) == (before, [])


def test_an_unknown_word_is_refused(bench: Bench) -> None:
    op_id = _stuck(bench).operation.op_id
    with pytest.raises(ValueError, match="retry, accept, force"):
        bench.database.ledger.resolve_stuck(op_id, "forget", ANN, "")
    assert bench.state(op_id) is State.STUCK


@pytest.mark.parametrize("how", HOWS)
def test_the_letter_is_resolved_with_name_and_note(bench: Bench, how: str) -> None:
    op_id = _stuck(bench).operation.op_id
    bench.database.ledger.resolve_stuck(op_id, how, ANN, "seen on the console")
    (letter,) = bench.database.dead_letters.list(resolved=True, limit=9, before=None)
    assert (letter.op_id, letter.resolution, letter.resolved_by) == (op_id, "discarded", "ann")
    assert letter.resolved_note == f"resolved: {how}. seen on the console"
    assert bench.letters() == []


# ---------------------------------------------------------------- retry
def test_a_retry_is_claimed_at_once_as_a_compensation_with_a_new_budget(bench: Bench) -> None:
    op_id = _stuck(bench).operation.op_id
    bench.database.ledger.resolve_stuck(op_id, "retry", ANN, "")
    claim = bench.claim_one()
    found = claim.operation
    assert (found.op_id, found.state, claim.takeover) == (op_id, State.COMPENSATING, True)
    assert (found.attempts, found.claims_no_progress) == (0, 1)
    assert found.outcome is not None and found.outcome["sentence"] == STUCK.sentence


def test_the_holder_of_before_writes_nothing_after_a_retry(bench: Bench) -> None:
    """I7"""
    stale = _stuck(bench)
    bench.database.ledger.resolve_stuck(stale.operation.op_id, "retry", ANN, "")
    with pytest.raises(LeaseLost):
        bench.database.ledger.renew(stale, LEASE)
    bench.claim_one()
    with pytest.raises(LeaseLost):
        bench.database.ledger.renew(stale, LEASE)


def test_a_retry_does_not_take_back_what_was_not_told_yet(bench: Bench) -> None:
    bench.database.ledger.resolve_stuck(_stuck(bench).operation.op_id, "retry", ANN, "")
    bench.database.ledger.settle(bench.claim_one(), Outcome(State.ROLLED_BACK, "put back"))
    assert _told(bench) == ["stuck", "rolled-back"]


def test_what_gets_stuck_again_is_told_again_by_another_event(bench: Bench) -> None:
    op_id = _stuck(bench).operation.op_id
    (first,) = bench.database.outbox.take(9, LEASE)
    bench.database.outbox.sent([first.event_id])
    bench.database.ledger.resolve_stuck(op_id, "retry", ANN, "")
    bench.database.ledger.settle(bench.claim_one(), Outcome(State.STUCK, "still refused", code="undo-failed"))
    (second,) = bench.database.outbox.take(9, LEASE)
    assert (second.topic, second.event_id != first.event_id) == (first.topic, True)
    assert second.payload["data"]["sentence"] == "still refused"
    assert bench.letters() == ["undo-failed"]


def test_what_gets_stuck_again_before_it_was_told_is_told_as_it_stands(bench: Bench) -> None:
    op_id = _stuck(bench).operation.op_id
    bench.database.ledger.resolve_stuck(op_id, "retry", ANN, "")
    bench.database.ledger.settle(bench.claim_one(), Outcome(State.STUCK, "still refused", code="undo-failed"))
    (told,) = bench.database.outbox.take(9, LEASE)
    assert told.payload["data"]["sentence"] == "still refused"


# ---------------------------------------------------------------- accept and force
@pytest.mark.parametrize(("how", "suffix"), [("accept", "rolled-back"), ("force", "succeeded")])
def test_an_end_by_word_is_told_once_with_name_and_note(bench: Bench, how: str, suffix: str) -> None:
    """I5"""
    op_id = _stuck(bench).operation.op_id
    bench.topics()
    bench.database.ledger.resolve_stuck(op_id, how, ANN, "seen on the console")
    (event,) = bench.database.outbox.take(9, LEASE)
    told = event.payload["data"]
    assert (event.topic, told["outcome"]) == (f"create-snapshot.{suffix}.acme", suffix)
    assert (told["code"], told["complete"], told["next_step"]) == ("resolved-by-operator", False, "")
    assert "ann" in told["sentence"] and "seen on the console" in told["sentence"]
    assert told["figures"] == {
        "steps": 3,
        "resolved_by": "ann",
        "note": "seen on the console",
        "stuck_because": STUCK.sentence,
    }
    assert told["items"] == [{"name": "image", "code": "refused", "sentence": "412"}]
    found = bench.get(op_id)
    assert found.outcome is not None and found.outcome.items() <= told.items()
    assert found.error_code == "resolved-by-operator"


@pytest.mark.parametrize("how", ["accept", "force"])
def test_the_next_operation_of_the_service_goes_on_after_the_word(bench: Bench, how: str) -> None:
    op_id = _stuck(bench).operation.op_id
    bench.accept_one("next")
    assert bench.claim() == []
    bench.database.ledger.resolve_stuck(op_id, how, ANN, "")
    assert bench.claim_one().operation.message_id == "next"


def test_force_writes_the_rows_of_the_target(bench: Bench) -> None:
    op_id = _stuck(bench).operation.op_id
    bench.database.ledger.resolve_stuck(op_id, "force", ANN, "", (SaveService(WEB),))
    assert bench.database.services.get("web") == WEB


def test_a_force_whose_rows_are_refused_leaves_everything_stuck(bench: Bench) -> None:
    bench.make(SaveService(WEB))
    op_id = _stuck(bench).operation.op_id
    before = bench.get(op_id)
    bench.topics()
    with pytest.raises(WrongTenant):
        bench.database.ledger.resolve_stuck(
            op_id, "force", ANN, "", (SaveService(Service("web", "mallory", "x", "x")),)
        )
    assert (bench.get(op_id), bench.letters(), _told(bench)) == (before, ["undo-failed"], [])
