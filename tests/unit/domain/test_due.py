"""Schedules come due: which nominal times are asked for, when each begins, and what becomes of missed ones."""

from __future__ import annotations

import dataclasses

import pytest

from domain.due import HORIZON_MS, LATE_MS, MOST_CAUGHT_UP, Due, due, message_id, run_at
from domain.schedule import CatchUp, Firing, Pause, Schedule
from tests.fakes.even_calendar import EvenCalendar

HOUR = 3_600_000
NOON = 500_000 * HOUR
SCHEDULE = Schedule("acme", "nightly", "create-snapshot", "60", schedule_id="id-1", service_id="web", next_at=NOON)


def found(schedule: Schedule, now: int) -> Due | None:
    return due(schedule, EvenCalendar(), now)


def test_nothing_is_due_before_its_time() -> None:
    assert found(SCHEDULE, NOON - 1) is None


def test_a_schedule_without_a_next_time_is_never_due() -> None:
    assert found(dataclasses.replace(SCHEDULE, next_at=0), NOON) is None


@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_time_that_has_just_come_is_asked_for_under_every_policy(catch_up: CatchUp) -> None:
    schedule = dataclasses.replace(SCHEDULE, catch_up=catch_up)
    assert found(schedule, NOON + 5_000) == Due((NOON,), 0, NOON + HOUR)


@pytest.mark.parametrize(
    ("catch_up", "asked", "missed"),
    [(CatchUp.NONE, (), 4), (CatchUp.ONE, (3,), 3), (CatchUp.ALL, (0, 1, 2, 3), 0)],
)
def test_missed_times_are_made_up_for_as_the_policy_says(
    catch_up: CatchUp, asked: tuple[int, ...], missed: int
) -> None:
    schedule = dataclasses.replace(SCHEDULE, catch_up=catch_up)
    times = tuple(NOON + hours * HOUR for hours in asked)
    assert found(schedule, NOON + 3 * HOUR + LATE_MS + 1) == Due(times, missed, NOON + 4 * HOUR)


def test_making_up_for_nothing_still_keeps_a_time_that_passed_a_moment_ago() -> None:
    schedule = dataclasses.replace(SCHEDULE, catch_up=CatchUp.NONE)
    assert found(schedule, NOON + 2 * HOUR + LATE_MS) == Due((NOON + 2 * HOUR,), 2, NOON + 3 * HOUR)


def test_making_up_for_everything_is_bounded_and_prefers_the_newest() -> None:
    schedule = dataclasses.replace(SCHEDULE, catch_up=CatchUp.ALL)
    last = NOON + 500 * HOUR
    result = found(schedule, last)
    assert result is not None
    assert len(result.nominal) == MOST_CAUGHT_UP and result.nominal[-1] == last
    assert result.missed == 501 - MOST_CAUGHT_UP


def test_an_outage_of_years_is_looked_at_from_its_recent_end() -> None:
    """A node that comes back after years must not spend minutes on counting."""
    schedule = dataclasses.replace(SCHEDULE, cron="1440")
    now = NOON + 10 * 365 * 24 * HOUR
    result = found(schedule, now)
    assert result is not None
    assert now - 24 * HOUR < result.nominal[0] <= now < result.next_at
    assert result.missed <= HORIZON_MS // (24 * HOUR) + 1


def test_without_jitter_it_begins_at_its_time() -> None:
    assert run_at(SCHEDULE, "web", NOON, NOON + 3_000) == NOON


def test_jitter_spreads_services_and_is_the_same_every_time() -> None:
    schedule = dataclasses.replace(SCHEDULE, service_id="", jitter_seconds=600)
    begins = {name: run_at(schedule, name, NOON, NOON) - NOON for name in map(str, range(50))}
    assert all(0 <= offset <= 600_000 for offset in begins.values())
    assert len(set(begins.values())) > 40
    again = {name: run_at(schedule, name, NOON + HOUR, NOON + HOUR) - NOON - HOUR for name in begins}
    assert again == begins


def test_what_is_made_up_for_is_spread_as_well() -> None:
    schedule = dataclasses.replace(SCHEDULE, jitter_seconds=600)
    now = NOON + 5 * HOUR
    offset = run_at(schedule, "web", NOON, NOON) - NOON
    assert run_at(schedule, "web", NOON, now) == now + offset


def test_a_message_id_is_made_of_the_schedule_the_time_and_the_service() -> None:
    firing = Firing("id-1", "acme", "nightly", "web", NOON, NOON)
    assert message_id(firing) == "id-1/2027-01-15T08:00Z/web"
    assert message_id(firing, "s1") == "id-1/2027-01-15T08:00Z/web/s1"


def test_a_pause_with_an_end_ends_by_itself() -> None:
    schedule = dataclasses.replace(SCHEDULE, pause=Pause("moving", "/cli/anna", NOON, NOON + HOUR))
    assert schedule.paused(NOON + HOUR - 1) and not schedule.paused(NOON + HOUR)
    assert dataclasses.replace(SCHEDULE, pause=Pause("moving", "/cli/anna", NOON)).paused(NOON + 999 * HOUR)


@pytest.mark.parametrize(("of", "covered"), [("", True), ("web", True), ("db", False)])
def test_a_schedule_is_about_its_service_or_about_all_of_its_tenant(of: str, covered: bool) -> None:
    schedule = dataclasses.replace(SCHEDULE, service_id=of)
    assert schedule.covers("acme", "web") is covered
    assert not schedule.covers("other", "web")
