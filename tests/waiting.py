"""Waiting for another process, in one place.

Apart from the fixtures because tests of killed workers need it as much as the servers do. It polls and never
sleeps longer than a condition needs; when the deadline passes it fails with what was awaited, not with a number.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

T = TypeVar("T")

POLL_SECONDS = 0.01


def eventually(predicate: Callable[[], T], seconds: float = 180.0, what: str = "the condition holds") -> T:
    """The first true value of `predicate`, asked every 10 ms; the test fails with `what` after `seconds`.

    It is asked at least once, also after the deadline, so that a slow machine never fails a condition that
    holds. What the predicate raises is the caller's: it ends the wait at once.
    """
    deadline = time.monotonic() + seconds
    while True:
        expired = time.monotonic() >= deadline
        value = predicate()
        if value:
            return value
        if expired:
            pytest.fail(f"Waited {seconds:g} s in vain until {what}.")
        time.sleep(POLL_SECONDS)
