"""How a service of a lost node comes back, and what keeps it from that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.evacuation import Return, plan_return
from domain.operation import Operation, State, Step, StepState
from domain.service import Service
from domain.snapshot import Consistency, Snapshot, SnapshotState

NOW = 1_000_000
WEB = Service("web", "acme", "web", "web", node="lost")
SAVED = Snapshot(
    "s1", "acme", "web", SnapshotState.AVAILABLE, 7, "m/s1", "aa", 10, 5, 1, Consistency.STABLE,
    ("configuration", "data", "sources"),
)  # fmt: skip
WAITS = Operation(1, "op-1", "/console", "m1", "create-snapshot", "acme", "web", State.QUEUED, {}, node="lost")


def _plan(*unfinished: Operation, newest: Snapshot | None = SAVED, steps: tuple[Step, ...] = ()) -> Return:
    journal: dict[str, Any] = {one.op_id: steps for one in unfinished}
    return plan_return(WEB, newest, unfinished, journal, "other", NOW)


def _begun(kind: str) -> tuple[Step, ...]:
    return (Step(0, kind, StepState.INTENT, {}, {}),)


def test_the_newest_snapshot_brings_files_and_sources_and_what_waits_for_the_lost_node_gives_way() -> None:
    elsewhere = replace(WAITS, op_id="op-2", node=None)
    assert _plan(WAITS, elsewhere) == Return("acme", "web", "s1", 7, ("data", "sources"), ("op-1",))


def test_without_a_snapshot_the_data_is_on_the_lost_node_and_nowhere_else() -> None:
    assert "no good snapshot" in _plan(newest=None).trouble


@pytest.mark.parametrize(
    ("state", "steps", "word"),
    [
        (State.STUCK, (), "operations resolve op-1"),
        (State.RUNNING, _begun("call"), "operations move op-1 --to other"),
        (State.COMPENSATING, _begun("swap"), "operations give-up op-1"),
        (State.RUNNING, (), "operations move op-1 --to other"),
    ],
)
def test_what_was_begun_is_in_the_way_and_says_how_to_go_on(state: State, steps: tuple[Step, ...], word: str) -> None:
    found = _plan(replace(WAITS, state=state, fence=1), steps=steps)
    assert (found.snapshot_id, word in found.next_step) == (None, True)


def test_what_somebody_still_holds_is_left_alone() -> None:
    held = replace(WAITS, state=State.RUNNING, lease_until=NOW + 1, owner="lost|b|n|1|1")
    assert "holds operation op-1 still" in _plan(held).trouble
