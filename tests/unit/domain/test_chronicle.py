"""The life of an operation beside its steps: every moment at its time, and the commands that make sense now."""

from __future__ import annotations

from typing import Any

import pytest

from domain.chronicle import Told, attempts, choices, chronicle
from domain.contracts import DeadLetter
from domain.operation import Operation, State


def operation(state: State, **more: Any) -> Operation:
    return Operation(1, "op-1", "/console", "m1", "create-snapshot", "acme", "web", state, {}, created_at=10, **more)


def letter(op_id: str | None = "op-1", **more: Any) -> DeadLetter:
    return DeadLetter("dl-1", op_id, "create-snapshot", "", "/console", "m1", "poison", "", "f", "", 1, 30, **more)


def test_a_whole_life_is_told_in_the_order_in_which_it_happened() -> None:
    ended = operation(
        State.FAILED, updated_at=30, node="n1", causation_id="order-7", outcome={"sentence": "the disk is full"}
    )
    put_aside = letter(resolution="replayed", resolved_by="anna", replay_op_id="op-2", resolved_note="disk grown")
    events = [Told("create-snapshot.failed.acme", 30, 35)]
    assert [(one.at, one.what) for one in chronicle(ended, events, [put_aside])] == [
        (10, "accepted: message m1 of /console, because of order-7, for node n1"),
        (30, "ended, FAILED: the disk is full"),
        (30, "dead letter dl-1: poison; since then replayed by anna as operation op-2 (disk grown)"),
        (35, "told as create-snapshot.failed.acme"),
    ]


def test_what_has_not_ended_has_no_end_and_a_reason_to_turn_back_is_none() -> None:
    turning = operation(State.COMPENSATING, updated_at=20, outcome={"sentence": "the region refused"})
    assert [one.at for one in chronicle(turning, [], [])] == [10]


def test_an_event_that_nobody_has_taken_is_told_as_waiting() -> None:
    ended = operation(State.SUCCEEDED, updated_at=20, outcome={"sentence": "done"})
    last = chronicle(ended, [Told("create-snapshot.succeeded.acme", 20, None)], [])[-1]
    assert last.what == "waits to be told as create-snapshot.succeeded.acme: the broker has not taken it"


def test_another_message_s_letter_under_the_same_key_is_not_this_operation_s() -> None:
    ended = operation(State.SUCCEEDED, updated_at=20, outcome={"sentence": "done"})
    assert not [one for one in chronicle(ended, [], [letter(None)]) if "dead letter" in one.what]


@pytest.mark.parametrize(
    ("state", "verbs"),
    [
        (State.QUEUED, ["watch", "cancel"]),
        (State.RUNNING, ["watch", "cancel"]),
        (State.COMPENSATING, ["watch"]),
        (State.STUCK, ["resolve", "resolve", "resolve"]),
        (State.SUCCEEDED, []),
        (State.FAILED, ["replay", "discard"]),
    ],
)
def test_from_every_state_the_commands_that_make_sense_are_named(state: State, verbs: list[str]) -> None:
    letters = [letter()] if state is State.FAILED else []
    assert [choice.split()[2] for choice in choices(operation(state), letters)] == verbs


def test_a_letter_that_was_dealt_with_offers_nothing_more() -> None:
    assert choices(operation(State.FAILED), [letter(resolution="discarded")]) == []


def test_tries_holders_and_a_wish_to_stop_are_told() -> None:
    running = operation(
        State.RUNNING,
        attempts=3,
        claims_no_progress=2,
        owner="n1|boot|pid:[1]|42|7",
        lease_until=99,
        cancel_requested=True,
    )
    assert attempts(running) == (
        "3 attempts failed and were repeated; 2 workers in a row took it and came to nothing; "
        "a worker of node n1 holds it; "
        "somebody has asked for it to stop"
    )
    assert attempts(operation(State.QUEUED)) == ""
