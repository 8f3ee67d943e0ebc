"""The program that wakes a service: what stops it, and what does not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import LeaseLost, ShuttingDown
from domain.service import Service
from domain.source import HookSettings
from storage.sources import program
from storage.sources.hooks import NodeHooks
from tests.waiting import eventually

WEB = Service("web", "acme", "web", "web")


class Watch:
    """Raises what it is told to, each time that the lease is to be kept."""

    def __init__(self, answers: Iterator[Exception | None]) -> None:
        self._answers = answers

    def keep(self, seconds: float) -> None:
        if (answer := next(self._answers)) is not None:
            raise answer

    def check(self) -> None: ...

    def insist(self) -> None: ...

    def advance(self, bytes_done: int = 0, files_done: int = 0) -> None: ...

    def expect(self, bytes_total: int, files_total: int) -> None: ...


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "LOOK_EVERY", 0.01)


def hooks(script: str) -> NodeHooks:
    return NodeHooks(HookSettings(after_restore=("sh", "-c", script)), lambda service: "/")


def test_a_worker_that_stops_wakes_the_service_all_the_same(tmp_path: Path) -> None:
    going, awake = tmp_path / "going", tmp_path / "awake"

    def answers() -> Iterator[Exception]:
        for asked in range(10_000):
            if asked == 5:
                going.touch()
            yield ShuttingDown("the node stops")

    script = f"while [ ! -e {going} ]; do sleep 0.01; done; touch {awake}"
    assert hooks(script).after("restore", WEB, Watch(answers())) is None
    assert awake.exists()


def test_who_loses_the_lease_meanwhile_stops_waking_and_leaves_it_to_the_next(tmp_path: Path) -> None:
    """I7: that one may be replacing what the service would run on."""
    begun = tmp_path / "begun"

    def answers() -> Iterator[Exception | None]:
        yield None
        while not begun.exists() or not begun.read_text():
            yield None
        yield LeaseLost("another holds it")

    with pytest.raises(LeaseLost):
        hooks(f"echo $$ > {begun}; exec sleep 600").after("restore", WEB, Watch(answers()))
    process = int(begun.read_text())
    eventually(lambda: not os.path.exists(f"/proc/{process}"), what="the program is gone")


def test_who_was_frozen_and_has_lost_the_lease_does_not_begin_to_wake(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with pytest.raises(LeaseLost):
        hooks(f"touch {begun}").after("restore", WEB, Watch(iter([LeaseLost("another holds it")])))
    assert not begun.exists()
