"""What listeners hear of long work: seldom enough, monotonic, and nothing once it is over."""

from __future__ import annotations

import pytest

from domain.operation import Operation, State
from tests.fakes.clock import FakeClock
from workers.progress import EVERY, Progress, ProgressBoard

OPERATION = Operation(1, "op", "/s", "m", "create-snapshot", "acme", "web", State.RUNNING, {})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def board(clock: FakeClock) -> ProgressBoard:
    return ProgressBoard(clock)


def told(board: ProgressBoard) -> list[Progress]:
    return [progress for _, progress in board.due()]


def test_short_work_is_over_before_anything_is_told(board: ProgressBoard, clock: FakeClock) -> None:
    board.note(OPERATION, {"bytes_done": 10})
    clock.pass_seconds(EVERY - 1)
    assert told(board) == []
    board.drop("op")
    clock.pass_seconds(60)
    assert told(board) == []


def test_long_work_is_told_every_few_seconds_with_rate_and_time_left(board: ProgressBoard, clock: FakeClock) -> None:
    """CN-31: by bytes, and never backwards."""
    board.note(OPERATION, {"bytes_done": 0, "bytes_total": 1000, "files_total": 4})
    heard = []
    for second in range(1, 11):
        clock.pass_seconds(1)
        board.note(OPERATION, {"bytes_done": 50 * second, "bytes_total": 1000, "files_done": 1, "files_total": 4})
        heard += told(board)
    assert heard == [
        Progress(250, 1, 1000, 4, bytes_per_second=50, seconds_left=15),
        Progress(500, 1, 1000, 4, bytes_per_second=50, seconds_left=10),
    ]


def test_what_is_not_known_is_left_out(board: ProgressBoard, clock: FakeClock) -> None:
    board.note(OPERATION, {"bytes_done": 0})
    clock.pass_seconds(EVERY)
    (progress,) = told(board)
    assert progress.document() == {"bytes_done": 0, "files_done": 0}


def test_work_that_stands_still_is_not_told_again(board: ProgressBoard, clock: FakeClock) -> None:
    for _ in range(3):
        board.note(OPERATION, {"bytes_done": 7})
        clock.pass_seconds(EVERY)
    assert len(told(board)) == 1
    clock.pass_seconds(EVERY)
    assert told(board) == []
