"""Whose turn it is in a replay: canaries, then the rest at its rate, and what stops it."""

from __future__ import annotations

import pytest

from domain.operation import State
from domain.replay import MOST_AT_ONCE, ItemState, Replay, ReplayItem, ReplayState, turn

NOW = 1_000_000


def _replay(canary: int = 0, per_minute: int = 0, rest_from: int = 0) -> Replay:
    return Replay("r", ReplayState.RUNNING, "ann", "cli", "", canary, per_minute, "", NOW, rest_from, 0)


def _items(*states: State | ItemState) -> list[ReplayItem]:
    return [
        ReplayItem(number, f"l{number}", state)
        if isinstance(state, ItemState)
        else ReplayItem(number, f"l{number}", ItemState.REPLAYED, op_id=f"o{number}", op_state=state)
        for number, state in enumerate(states)
    ]


WAITING, SKIPPED = ItemState.WAITING, ItemState.SKIPPED


def _due(found: Replay, items: list[ReplayItem], now: int = NOW) -> list[int]:
    return [item.ordinal for item in turn(found, items, now).due]


def test_only_the_canaries_are_due_at_first() -> None:
    assert _due(_replay(canary=2), _items(WAITING, WAITING, WAITING)) == [0, 1]


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.COMPENSATING])
def test_nothing_is_due_while_a_canary_goes_on(state: State) -> None:
    step = turn(_replay(canary=2), _items(State.SUCCEEDED, state, WAITING), NOW)
    assert (step.due, step.state, step.rest_from) == ((), ReplayState.RUNNING, 0)


@pytest.mark.parametrize("state", [State.FAILED, State.ROLLED_BACK, State.CANCELLED, State.STUCK])
def test_a_canary_that_does_not_succeed_stops_the_rest(state: State) -> None:
    step = turn(_replay(canary=2), _items(State.RUNNING, state, WAITING), NOW)
    assert (step.due, step.state) == ((), ReplayState.STOPPED)
    assert "o1" in step.why and state in step.why


def test_the_rest_is_due_when_every_canary_has_succeeded() -> None:
    step = turn(_replay(canary=1), _items(State.SUCCEEDED, WAITING, WAITING), NOW)
    assert ([item.ordinal for item in step.due], step.rest_from) == ([1, 2], NOW)


def test_the_next_letter_is_the_canary_when_one_could_not_be_tried() -> None:
    """Otherwise the rest would go without anything having been tried."""
    assert _due(_replay(canary=1), _items(SKIPPED, WAITING, WAITING)) == [1]


@pytest.mark.parametrize(("seconds", "due"), [(0, [0]), (29, [0]), (30, [0, 1]), (60, [0, 1, 2])])
def test_a_rate_lets_so_many_a_minute_go(seconds: int, due: list[int]) -> None:
    items = _items(WAITING, WAITING, WAITING)
    assert _due(_replay(per_minute=2, rest_from=NOW), items, NOW + seconds * 1000) == due


def test_what_went_already_counts_against_the_rate() -> None:
    items = _items(State.FAILED, State.RUNNING, WAITING)
    assert _due(_replay(per_minute=2, rest_from=NOW), items, NOW + 30_000) == []
    assert _due(_replay(per_minute=2, rest_from=NOW), items, NOW + 60_000) == [2]


def test_a_failure_after_the_canaries_stops_nothing() -> None:
    assert _due(_replay(canary=1), _items(State.SUCCEEDED, State.FAILED, WAITING)) == [2]


def test_it_is_done_when_nothing_waits() -> None:
    assert turn(_replay(), _items(State.RUNNING, SKIPPED), NOW).state is ReplayState.DONE
    assert turn(_replay(canary=3), _items(SKIPPED), NOW).state is ReplayState.DONE


def test_many_go_in_portions() -> None:
    assert len(_due(_replay(), _items(*[WAITING] * (MOST_AT_ONCE + 1)))) == MOST_AT_ONCE
