"""A request to stop arrives whatever the main thread is doing, also when it is just beginning to wait for it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from workers.signals import stop_requests


@pytest.fixture(autouse=True)
def handlers_of_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_interrupts_the_beginning_of_the_wait_is_heard(number: signal.Signals) -> None:
    told, hurry = stop_requests()
    with vars(told)["_cond"]:  # where `wait` is for a moment, whenever it begins
        os.kill(os.getpid(), number)
    assert told.wait(60)
    assert not hurry.is_set()


def test_the_second_one_asks_to_hurry() -> None:
    told, hurry = stop_requests()
    os.kill(os.getpid(), signal.SIGTERM)
    assert told.wait(60)
    os.kill(os.getpid(), signal.SIGINT)
    assert hurry.wait(60)
