"""Several processes of a node: one that refuses to work ends them all."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.processes import REFUSED, supervise


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """The supervisor takes the signals of its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def _first_refuses(turns: str) -> int:
    """The first process to come refuses, the second works until it is told to end. A third must never be started; it
    ends the node, so that the test has an end then too."""
    for turn in range(3):
        try:
            os.mkdir(f"{turns}/{turn}")
        except FileExistsError:
            continue
        if turn == 0:
            return REFUSED
        if turn == 2:
            os.kill(os.getppid(), signal.SIGTERM)
        signal.pause()
    return 0


def test_a_process_that_refuses_to_work_is_not_started_again_and_ends_the_others(tmp_path: Path) -> None:
    assert supervise(functools.partial(_first_refuses, str(tmp_path)), 2) == REFUSED
    assert not (tmp_path / "2").exists()
    assert multiprocessing.active_children() == []
