"""A replay of many dead letters: a frozen list, canaries first, then the rest at a rate; and when it stops. Pure.

Apart from what a single letter is worth, because this is about time and order. A replay is a row that any node
carries on, so whoever began it may be killed or go home.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.operation import TERMINAL, State

#: Letters that are replayed without looking again in between.
MOST_AT_ONCE = 100
#: The longest frozen list.
MOST_LETTERS = 10_000


class ReplayState(StrEnum):
    """How a replay stands."""

    RUNNING = "RUNNING"
    DONE = "DONE"  # every letter was replayed or left out; how their operations end is theirs
    STOPPED = "STOPPED"  # a canary did not succeed, or a person stopped it; the rest is as it was


class ItemState(StrEnum):
    """How one letter of a replay stands."""

    WAITING = "WAITING"
    REPLAYED = "REPLAYED"  # became an operation
    SKIPPED = "SKIPPED"  # somebody else resolved it, or it cannot be replayed


@dataclass(frozen=True, slots=True)
class ReplayItem:
    """One letter of a frozen list."""

    ordinal: int
    dead_letter_id: str
    state: ItemState
    why: str = ""
    op_id: str | None = None
    op_state: State | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """What was asked for, and how it stands. Times are UTC milliseconds; 0: not yet."""

    replay_id: str
    state: ReplayState
    actor: str
    way: str
    reason: str
    canary: int
    per_minute: int  # 0: no limit
    why: str  # it stopped
    created_at: int
    rest_from: int  # since when the canaries are known to be good
    ended_at: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What is to be done now."""

    due: tuple[ReplayItem, ...] = ()
    state: ReplayState = ReplayState.RUNNING
    why: str = ""
    rest_from: int = 0


def turn(replay: Replay, items: Sequence[ReplayItem], now: int) -> Turn:
    """The letters that are due, or how it ends."""
    real = [item for item in items if item.state is not ItemState.SKIPPED]
    canaries, rest = real[: replay.canary], real[replay.canary :]
    if waiting := [item for item in canaries if item.state is ItemState.WAITING]:
        return Turn(tuple(waiting), rest_from=replay.rest_from)
    for item in canaries:
        if item.op_state in (State.STUCK, *(TERMINAL - {State.SUCCEEDED})):
            why = f"canary {item.dead_letter_id} became operation {item.op_id}, which is {item.op_state}"
            return Turn(state=ReplayState.STOPPED, why=why, rest_from=replay.rest_from)
    if any(item.op_state is not State.SUCCEEDED for item in canaries):
        return Turn(rest_from=replay.rest_from)
    since = replay.rest_from or now
    left = [item for item in rest if item.state is ItemState.WAITING]
    if not left:
        return Turn(state=ReplayState.DONE, rest_from=since)
    allowed = MOST_AT_ONCE
    if replay.per_minute:
        allowed = (now - since) * replay.per_minute // 60_000 + 1 - (len(rest) - len(left))
    return Turn(tuple(left[: max(0, min(allowed, MOST_AT_ONCE))]), rest_from=since)
