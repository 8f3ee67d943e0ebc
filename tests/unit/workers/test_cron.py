"""Cron expressions in time zones: which times they name, also where a clock skips an hour or repeats one."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.errors import InvalidMessage
from workers.cron import CronCalendar

BERLIN = "Europe/Berlin"


def times(cron: str, after: str, count: int, zone: str = BERLIN) -> list[str]:
    """The next times, in UTC."""
    calendar, at, found = CronCalendar(), round(datetime.fromisoformat(after).timestamp() * 1000), []
    for _ in range(count):
        at = calendar.after(cron, zone, at)
        found.append(f"{datetime.fromtimestamp(at / 1000, UTC):%m-%dT%H:%M}")
    return found


def test_a_time_is_the_zone_s_and_follows_its_summer_time() -> None:
    assert times("30 4 * * *", "2026-03-28T12:00:00+01:00", 2) == ["03-29T02:30", "03-30T02:30"]
    assert times("30 4 * * *", "2026-10-24T12:00:00+02:00", 2) == ["10-25T03:30", "10-26T03:30"]


def test_a_time_that_the_clock_skips_in_spring_is_taken_once_at_the_first_that_exists() -> None:
    assert times("30 2 * * *", "2026-03-28T12:00:00+01:00", 2) == ["03-29T01:00", "03-30T00:30"]
    assert times("15,30,45 2 * * *", "2026-03-29T00:00:00+01:00", 2) == ["03-29T01:00", "03-30T00:15"]


def test_a_time_that_the_clock_repeats_in_autumn_is_taken_once() -> None:
    assert times("30 2 * * *", "2026-10-24T12:00:00+02:00", 2) == ["10-25T00:30", "10-26T01:30"]
    assert times("30 2 * * *", "2026-10-25T02:15:00+02:00", 2) == ["10-25T00:30", "10-26T01:30"]


def test_every_hour_means_every_hour_that_passes() -> None:
    assert times("30 * * * *", "2026-10-25T01:45:00+02:00", 3) == ["10-25T00:30", "10-25T01:30", "10-25T02:30"]
    assert times("30 * * * *", "2026-03-29T00:45:00+01:00", 3) == ["03-29T00:30", "03-29T01:30", "03-29T02:30"]


def test_the_answer_is_later_than_the_question_also_on_the_minute() -> None:
    assert times("0 12 * * *", "2026-06-01T12:00:00+00:00", 1, "UTC") == ["06-02T12:00"]


@pytest.mark.parametrize(
    ("short", "long"), [("@daily", "0 0 * * *"), ("@Hourly", "0 * * * *"), ("@weekly", "0 0 * * 0")]
)
def test_the_short_names_of_cron_are_understood(short: str, long: str) -> None:
    start = "2026-06-01T12:00:00+00:00"
    assert times(short, start, 3) == times(long, start, 3)


@pytest.mark.parametrize("cron", ["", "* * * *", "* * * * * *", "60 * * * *", "x * * * *", "0 0 31 2 *", "*/0 * * * *"])
def test_an_expression_that_cannot_be_read_or_never_comes_true_is_refused(cron: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        CronCalendar().check(cron, "UTC")
    assert refusal.value.field == "cron"


@pytest.mark.parametrize("zone", ["", "Nowhere/Land", "../../etc/passwd", "Europe"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        CronCalendar().check("@daily", zone)
    assert refusal.value.field == "zone"


def test_what_is_well_formed_is_accepted() -> None:
    for cron in ("@monthly", "*/15 8-18 * * MON-FRI", "0 3 L * *", "0 3 * * SUN#1", "0 0 29 2 *"):
        CronCalendar().check(cron, BERLIN)
