"""No more bytes per second than allowed: counted on a clock that the test moves."""

from __future__ import annotations

import pytest

from domain import pulse
from domain.errors import LeaseLost
from storage.store import open_store
from storage.throttle import Budget, ThrottledStore


class Time:
    """Sleeping moves it."""

    def __init__(self) -> None:
        self.now = 100.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def budget(self, rate: int) -> Budget:
        return Budget(rate, self.clock, self.sleep)


def test_bytes_go_at_the_rate_whatever_the_sizes() -> None:
    time = Time()
    budget = time.budget(1_000)
    for size in (500, 2_000, 1, 2_499, 0):
        budget.spend(size)
    assert time.now == pytest.approx(105.0)


def test_what_was_not_spent_is_not_saved_up() -> None:
    time = Time()
    budget = time.budget(1_000)
    budget.spend(1_000)
    time.now += 60
    budget.spend(1_000)
    began = time.now
    budget.spend(1_000)
    assert time.now - began == pytest.approx(1.0)


def test_who_waits_says_that_he_lives_and_ends_when_told() -> None:
    time = Time()
    budget = time.budget(1_000)
    budget.spend(100_000)

    def keep() -> None:
        if time.now > 103:
            raise LeaseLost("taken over")

    with pytest.raises(LeaseLost), pulse.during(keep):
        budget.spend(1)
    assert time.now < 104
    pulse.beat()


def test_each_way_has_a_budget_of_its_own_and_the_bytes_are_the_same() -> None:
    time = Time()
    store = ThrottledStore(open_store("memory://throttled"), time.budget(1_000), time.budget(10_000))
    store.put("a", [b"x" * 1_500, b"y" * 500])
    store.put_stream("b", iter([b"z" * 1_000, b"z"]))
    assert store.create("c", [b"1"]) and not store.create("c", [b"2"])
    sent = time.now
    assert sent == pytest.approx(103.002)
    assert store.get("a") == b"x" * 1_500 + b"y" * 500
    assert store.get("b", 0, 1_000) == b"z" * 1_000
    assert store.get("c", 0, 1) == b"1"
    assert time.now - sent == pytest.approx(0.3)
    assert [info.key for info in store.list("")] and store.size("b") == 1_001
    store.delete(["a", "b", "c"])
    assert list(store.list("")) == []


def test_without_a_budget_nothing_waits() -> None:
    store = ThrottledStore(open_store("memory://free"), None, None)
    store.put("a", [b"x"])
    assert store.get("a") == b"x"
