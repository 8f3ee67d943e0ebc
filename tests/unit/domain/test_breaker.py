"""The circuit breaker delays; it never fails anything."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from domain.breaker import Breakers, Limits
from domain.errors import Postponed
from tests.fakes.clock import FakeClock

LIMITS = Limits(window=30.0, least=4, share=0.5, rest=15.0)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def breakers(clock: FakeClock) -> Breakers:
    return Breakers(clock, random.Random(1), LIMITS)


def fail(breakers: Breakers, times: int, region: str = "eu-1") -> None:
    for _ in range(times):
        breakers.record(region, answered=False)


def test_a_few_failures_conclude_nothing(breakers: Breakers) -> None:
    fail(breakers, 3)
    breakers.admit("eu-1")
    assert breakers.resting() == []


def test_a_region_that_does_not_answer_is_given_a_rest_of_known_length(breakers: Breakers) -> None:
    fail(breakers, 4)
    with pytest.raises(Postponed) as caught:
        breakers.admit("eu-1")
    assert 15.0 <= caught.value.delay <= 22.5
    breakers.admit("us-1")


def test_failures_that_are_long_past_do_not_count(breakers: Breakers, clock: FakeClock) -> None:
    fail(breakers, 3)
    clock.pass_seconds(31)
    fail(breakers, 3)
    breakers.admit("eu-1")


def test_mostly_answered_calls_keep_it_closed(breakers: Breakers) -> None:
    for _ in range(5):
        breakers.record("eu-1", answered=True)
    fail(breakers, 4)
    breakers.admit("eu-1")


def test_after_the_rest_one_probe_goes_through_and_its_answer_closes_the_circuit(
    breakers: Breakers, clock: FakeClock
) -> None:
    fail(breakers, 4)
    clock.pass_seconds(23)
    breakers.admit("eu-1")
    with pytest.raises(Postponed):
        breakers.admit("eu-1")
    breakers.record("eu-1", answered=True)
    breakers.admit("eu-1")
    assert breakers.resting() == []


def test_a_probe_that_fails_or_never_returns_makes_way_for_another_after_a_rest(
    breakers: Breakers, clock: FakeClock
) -> None:
    fail(breakers, 4)
    clock.pass_seconds(23)
    breakers.admit("eu-1")
    fail(breakers, 1)
    with pytest.raises(Postponed):
        breakers.admit("eu-1")
    clock.pass_seconds(23)
    breakers.admit("eu-1")


def test_those_that_are_turned_away_come_back_one_after_the_other(breakers: Breakers) -> None:
    fail(breakers, 4)
    delays = []
    for _ in range(1000):
        with pytest.raises(Postponed) as caught:
            breakers.admit("eu-1")
        delays.append(caught.value.delay)
    assert all(later - earlier == pytest.approx(LIMITS.pace) for earlier, later in pairwise(delays))
