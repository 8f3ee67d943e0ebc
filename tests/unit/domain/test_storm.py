"""A retry storm: a thousand operations whose region is away. In virtual time; calls and claims are counted (I28).

The real dialogue, breaker and backoff under the executor's rules: what is postponed waits, what failed backs off.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from itertools import count
from typing import cast

import pytest

from domain.breaker import Breakers, Limits
from domain.classify import Verdict
from domain.contracts import Watch
from domain.dialogue import TRIES, Dialogue
from domain.errors import Postponed
from domain.journal import Journal
from domain.operation import Budget
from domain.region import Call, Place, Repeat, Reply, Trouble
from domain.retry import backoff_ms
from tests.fakes.clock import FakeClock
from tests.fakes.unfenced import UnfencedRegion
from tests.unit.domain.test_dialogue import FakeJournal, FakeWatch

OPERATIONS, SLOTS = 1_000, 4
OUTAGE, AFTER = 300.0, 100.0
ENV = Call("add-env", "POST", "/env", {}, Repeat.EXISTS)


class Region(UnfencedRegion):
    """Away until `back`; notes when it is called."""

    def __init__(self, clock: FakeClock, back: float) -> None:
        self.clock, self.back = clock, back
        self.called: list[float] = []

    def send(self, place: Place, call: Call, fence: int) -> Reply:
        self.called.append(self.clock.boottime())
        return Reply(200) if self.clock.boottime() >= self.back else Reply(trouble=Trouble.NOT_SENT)


class Storm:
    """Operations in a queue by the time at which they are due, taken one after the other. A wait inside one call takes
    a quarter of its time, as the other slots go on meanwhile."""

    def __init__(self, limits: Limits) -> None:
        self.clock = clock = FakeClock(boottime=0.0)
        clock.sleep = lambda seconds: clock.pass_seconds(seconds / SLOTS)  # type: ignore[method-assign]
        self.region = Region(clock, OUTAGE)
        self.draw = random.Random(7)
        self.breakers = Breakers(clock, self.draw, limits)
        self.claimed: list[float] = []
        self.ended: list[float] = []

    def run(self, until: float) -> None:
        numbers = count()
        queue = [(0.0, next(numbers), 0) for _ in range(OPERATIONS)]
        while queue and queue[0][0] < until:
            due, _, attempts = heapq.heappop(queue)
            self.clock.pass_seconds(max(0.0, due - self.clock.boottime()) + 0.002)
            self.claimed.append(self.clock.boottime())
            delay, more = self._attempt(attempts)
            if delay is not None:
                heapq.heappush(queue, (self.clock.boottime() + delay, next(numbers), attempts + more))

    def _attempt(self, attempts: int) -> tuple[float | None, int]:
        """Seconds until the next attempt, None when it has ended; and whether this one counted."""
        dialogue = Dialogue(
            self.region, cast(Journal, FakeJournal()), cast(Watch, FakeWatch()), self.breakers, self.clock,
            lambda *_, **__: None,
        )  # fmt: skip
        try:
            said = dialogue.send(Place("eu-1", "acme", "svc", "web"), ENV)
        except Postponed as error:
            return error.delay, 0
        if said.answer.verdict is Verdict.APPLIED:
            self.ended.append(self.clock.boottime())
            return None, 0
        return backoff_ms(Budget(), attempts, self.draw) / 1000, 1


def _most_within(times: list[float], seconds: float) -> int:
    return max(Counter(int(time / seconds) for time in times).values())


@pytest.fixture(scope="module")
def storm() -> Storm:
    made = Storm(Limits())
    made.run(OUTAGE + AFTER)
    return made


def test_a_thousand_operations_ask_a_dead_region_no_more_often_than_a_few(storm: Storm) -> None:
    """I28: until the circuit opens, `least` calls and those under way; then one probe for each rest."""
    limits = Limits()
    called = [time for time in storm.region.called if time < OUTAGE]
    assert len(called) <= limits.least + SLOTS * TRIES + OUTAGE / limits.rest
    assert _most_within([time for time in called if time > limits.window], limits.rest) <= 2


def test_a_thousand_operations_that_wait_for_a_region_are_claimed_at_a_pace(storm: Storm) -> None:
    """I28: claims cost the database something, even if they end at once."""
    limits = Limits()
    settled = [time for time in storm.claimed if 2 * limits.window < time < OUTAGE]
    assert _most_within(settled, 1.0) <= 1 / limits.pace + 1


def test_all_of_them_end_once_the_region_is_back(storm: Storm) -> None:
    """I2"""
    assert len(storm.ended) == OPERATIONS
