"""Backoff is jittered over its whole range and capped; retries inside a call are for weather only."""

from __future__ import annotations

import random

import pytest

from domain.errors import Refused, StoreUnavailable
from domain.operation import Budget
from domain.retry import backoff_ms, within_call

BUDGET = Budget(backoff_base=1.0, backoff_cap=60.0)


def test_backoff_grows_and_stays_below_its_cap() -> None:
    draw = random.Random(1)
    highest = [max(backoff_ms(BUDGET, attempts, draw) for _ in range(300)) for attempts in (0, 3, 20)]
    assert highest[0] <= 1000 < highest[1] <= 8000 < highest[2] <= 60_000


def test_backoff_uses_the_whole_range_so_that_retries_spread() -> None:
    draw = random.Random(2)
    waits = [backoff_ms(BUDGET, 10, draw) for _ in range(300)]
    assert min(waits) < 3_000 and max(waits) > 57_000


def test_a_call_is_retried_while_the_weather_lasts() -> None:
    answers = [StoreUnavailable("slow"), StoreUnavailable("slow"), None]

    def call() -> str:
        answer = answers.pop(0)
        if answer:
            raise answer
        return "done"

    assert within_call(seconds=5, first_wait=0.001, longest_wait=0.002)(call) == "done"
    assert answers == []


def test_a_refusal_is_not_retried() -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise Refused("no")

    with pytest.raises(Refused):
        within_call(seconds=5, first_wait=0.001)(call)
    assert len(calls) == 1


def test_weather_that_lasts_is_raised_as_itself() -> None:
    def call() -> None:
        raise StoreUnavailable("gone")

    with pytest.raises(StoreUnavailable, match="gone"):
        within_call(seconds=0.01, first_wait=0.001, longest_wait=0.002)(call)
