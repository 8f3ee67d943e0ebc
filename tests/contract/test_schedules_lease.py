"""The scheduler's lease: one leads at a time, and that the clock went back is not forgotten; on both databases."""

from __future__ import annotations

from tests.contract.diary import HOUR
from tests.contract.sql_bench import Bench

TTL = 30_000


def nobody(owner: str) -> bool:
    return False


def test_one_leads_until_it_is_silent(bench: Bench) -> None:
    schedules = bench.database.schedules
    assert schedules.leader() is None
    assert schedules.lead("a", TTL, nobody) is not None
    assert schedules.lead("b", TTL, nobody) is None
    bench.now += TTL - 1
    assert schedules.lead("b", TTL, nobody) is None
    bench.now += 1
    assert schedules.lead("b", TTL, nobody) is not None
    assert schedules.lead("a", TTL, nobody) is None


def test_who_leads_keeps_the_lease_by_looking(bench: Bench) -> None:
    schedules = bench.database.schedules
    for _ in range(20):
        assert schedules.lead("a", TTL, nobody) is not None
        bench.now += TTL // 4
        assert schedules.lead("b", TTL, nobody) is None


def test_a_dead_leader_and_one_that_steps_down_are_followed_at_once(bench: Bench) -> None:
    schedules = bench.database.schedules
    schedules.lead("a", TTL, nobody)
    assert schedules.lead("b", TTL, lambda owner: owner == "a") is not None
    schedules.step_down("a")
    assert schedules.lead("a", TTL, nobody) is None, "only the holder gives the lease back"
    schedules.step_down("b")
    assert schedules.lead("a", TTL, nobody) is not None


def test_a_lease_from_the_future_binds_nobody(bench: Bench) -> None:
    """A database whose clock went back by a day must not be without a scheduler for a day."""
    schedules = bench.database.schedules
    schedules.lead("a", TTL, nobody)
    bench.now -= 24 * HOUR
    turn = schedules.lead("b", TTL, nobody)
    assert turn is not None and turn.went_back
    schedules.put_right("b", turn.now)
    turn = schedules.lead("b", TTL, nobody)
    assert turn is not None and not turn.went_back


def test_that_the_clock_went_back_is_told_until_it_was_put_right_whoever_dies_before(bench: Bench) -> None:
    """I25: else the next times would stay where they are, until the clock is there again."""
    schedules = bench.database.schedules
    schedules.lead("a", TTL, nobody)
    bench.now -= 24 * HOUR
    for _ in range(3):
        turn = schedules.lead("b", TTL, nobody)
        assert turn is not None and turn.went_back
        assert schedules.lead("c", TTL, nobody) is None, "the lease holds all the same"
        bench.now += TTL // 2
    turn = schedules.lead("c", TTL, lambda owner: owner == "b")
    assert turn is not None and turn.went_back
    schedules.put_right("b", turn.now)
    turn = schedules.lead("c", TTL, nobody)
    assert turn is not None and turn.went_back, "only who leads has put it right"
    schedules.put_right("c", turn.now)
    turn = schedules.lead("c", TTL, nobody)
    assert turn is not None and not turn.went_back


def test_the_leader_itself_notices_that_the_clock_went_back(bench: Bench) -> None:
    schedules = bench.database.schedules
    schedules.lead("a", TTL, nobody)
    bench.now -= 1
    turn = schedules.lead("a", TTL, nobody)
    assert turn is not None and turn.went_back
