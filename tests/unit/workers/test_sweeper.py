"""Duties of the sweeper: none keeps another from its time, whatever it lasts and however it fails."""

from __future__ import annotations

import threading
from typing import Any, cast

import pytest

from domain.contracts import Garbage, Pruned
from domain.operation import State
from tests.fakes.clock import FakeClock
from tests.fakes.figures import FIGURES, NOW
from tests.waiting import eventually
from workers import sweeper
from workers.metrics import Metrics
from workers.owner import Owner
from workers.sweeper import Duties, Sweeper

BATCHES = 20


class FakeNodes:
    """When the node has said that it is alive."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.beats: list[float] = []

    def beat(self, *_: object) -> bool:
        self.beats.append(self._clock.boottime())
        return False


class FakeLedger:
    """Every operation has ended; `release_dead` fails as it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.expired = 0

    def release_dead(self, _: object) -> int:
        if self._error is not None:
            raise self._error
        return 0

    def expire(self) -> int:
        self.expired += 1
        return 0

    def state(self, op_id: str) -> State | None:
        return None if op_id == "foreign" else State.RUNNING if op_id == "running" else State.FAILED


class FakeRest:
    """Everything else that a sweeper looks after; there is nothing to do."""

    replicas = ()

    def __init__(self) -> None:
        self.asked = 0
        self.left = ["a", "b", "c"]
        self.immutable = ""
        self.pruned: list[tuple[str, int]] = []

    def prune(self, _: int, __: int, *, after: int) -> Pruned:
        self.pruned.append(("operations", after))
        return Pruned(operations=1, after=after + 1)

    def prune_events(self, _: int, __: int, *, after: int) -> Pruned:
        self.pruned.append(("events", after))
        return Pruned(events=1)

    def ask(self) -> int:
        self.asked += 1
        return 0

    def carry_on_all(self) -> int:
        return 0

    def expire_exports(self) -> int:
        return 0

    def garbage(self, _: int, __: object) -> list[Garbage]:
        return []

    def sweep(self, _: int) -> int:
        return 0

    def staged_operations(self) -> list[str]:
        return list(self.left)

    def discard(self, op_id: str) -> None:
        if op_id == self.immutable:
            raise PermissionError(1, "Operation not permitted")
        self.left.remove(op_id)


class Endless(FakeRest):
    """Garbage of which each batch takes ten seconds, in which somebody looks whether the node is alive."""

    def __init__(self, clock: FakeClock, nodes: FakeNodes) -> None:
        super().__init__()
        self._clock, self._nodes, self._batches = clock, nodes, BATCHES
        self.done = threading.Event()

    def garbage(self, _: int, __: object) -> list[Garbage]:
        if not self._batches:
            self.done.set()
            return []
        return [Garbage(f"tenants/acme/packs/s1/{self._batches}", False, 0)]

    def live_packs(self, _: str) -> set[str]:
        return set()

    def forget_garbage(self, _: object) -> None:
        self._batches -= 1

    def collect(self, rows: list[Garbage], _: object) -> list[str]:
        eventually(lambda: self._clock.boottime() in self._nodes.beats, 60, "the node says that it is alive")
        self._clock.pass_seconds(10)
        return [row.key for row in rows]


def made(
    clock: FakeClock, nodes: FakeNodes, ledger: FakeLedger, rest: FakeRest, history_days: int | None = None
) -> Sweeper:
    ports = cast(Any, rest)
    nine = (cast(Any, ledger), ports, cast(Any, nodes), ports, ports, ports, ports, ports, ports)
    duties = Duties(*nine, history_days)
    owner = Owner.of_this_process("n1")
    return Sweeper(duties, owner, clock, "1", lambda: None, Metrics(lambda: FIGURES, lambda: NOW))


def test_a_node_says_that_it_is_alive_while_garbage_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "BEAT_SECONDS", 0.001)
    clock = FakeClock()
    nodes = FakeNodes(clock)
    rest = Endless(clock, nodes)
    swept = made(clock, nodes, FakeLedger(), rest)
    swept.start()
    try:
        assert rest.done.wait(180), "the garbage is collected"
    finally:
        swept.stop()
    gaps = [later - earlier for earlier, later in zip(nodes.beats, nodes.beats[1:], strict=False)]
    assert max(gaps) <= 15, "nobody may call it away"
    assert len(set(nodes.beats)) >= BATCHES


def test_an_error_that_nobody_planned_keeps_no_other_duty_from_its_turn() -> None:
    clock = FakeClock()
    nodes, ledger, rest = FakeNodes(clock), FakeLedger(RuntimeError("a statement was refused")), FakeRest()
    swept = made(clock, nodes, ledger, rest)
    for _ in range(2):
        with pytest.raises(RuntimeError):  # and the loop goes on, a little later
            swept.round()
        clock.pass_seconds(5)
    assert (len(nodes.beats), ledger.expired) == (2, 1)


def test_one_tree_that_cannot_be_removed_keeps_no_other_from_going() -> None:
    clock = FakeClock()
    rest = FakeRest()
    rest.immutable = "a"
    swept = made(clock, FakeNodes(clock), FakeLedger(), rest)
    with pytest.raises(PermissionError):  # the duty has not gone to its end, and says so
        swept.discard_staging()
    assert rest.left == ["a"]


def test_trees_of_what_goes_on_or_is_unknown_here_stay() -> None:
    clock = FakeClock()
    rest = FakeRest()
    rest.left = ["ended", "foreign", "running"]
    assert made(clock, FakeNodes(clock), FakeLedger(), rest).discard_staging() == 1
    assert rest.left == ["foreign", "running"]


def test_history_is_forgotten_in_batches_that_follow_each_other_and_other_duties_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeper, "HISTORY_BATCHES", 3)
    clock = FakeClock()
    nodes, rest = FakeNodes(clock), FakeRest()
    made(clock, nodes, FakeLedger(), rest, history_days=7).round()
    assert rest.pruned == [("operations", 0), ("operations", 1), ("operations", 2), ("events", 0)]
