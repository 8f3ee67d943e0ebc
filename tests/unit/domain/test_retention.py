"""Which snapshots a policy keeps, and why; whatever it says, some always stay."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidMessage
from domain.retention import Decision, Policy, decide
from domain.snapshot import Consistency, Label, Snapshot, SnapshotState

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def milliseconds(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def snapshot(name: str, when: datetime, **more: object) -> Snapshot:
    row = Snapshot(
        name, "acme", "web", SnapshotState.AVAILABLE, milliseconds(when), f"m/{name}", "aa", 1, 1, 1,
        Consistency.STABLE, ("data",),
    )  # fmt: skip
    return dataclasses.replace(row, **more)  # type: ignore[arg-type]


def every(hours: int, count: int) -> list[Snapshot]:
    """`count` snapshots, the newest now, named 0, 1, … backwards."""
    return [snapshot(str(number), NOW - timedelta(hours=hours * number)) for number in range(count)]


def kept(policy: Policy, snapshots: list[Snapshot], **more: object) -> list[str]:
    decided = decide(policy, snapshots, now_ms=milliseconds(NOW), **more)  # type: ignore[arg-type]
    return [one.snapshot.snapshot_id for one in decided if one.keep]


def test_the_last_ones_are_kept() -> None:
    assert kept(Policy(last=3), every(1, 10)) == ["0", "1", "2"]


def test_a_snapshot_that_is_ahead_by_what_a_claim_may_wait_is_the_newest_like_any_other() -> None:
    ahead = snapshot("ahead", NOW + timedelta(seconds=10))
    assert kept(Policy(last=2), [ahead, *every(1, 3)]) == ["ahead", "0"]
    assert kept(Policy(last=2), [snapshot("wrong", NOW + timedelta(minutes=5)), *every(1, 3)]) == ["wrong", "0", "1"]


def test_of_each_day_the_newest_is_kept_for_so_many_days_that_have_one() -> None:
    """A day without a snapshot uses up no slot."""
    some = every(6, 9)  # 12:00, 06:00, 00:00, then three older days
    gap = [snapshot("old", NOW - timedelta(days=30)), snapshot("older", NOW - timedelta(days=31))]
    assert kept(Policy(daily=4), some + gap) == ["0", "3", "7", "old"]


@pytest.mark.parametrize("policy", [Policy(last=1), Policy(daily=1), Policy(within_days=1)])
def test_snapshots_of_the_configuration_never_let_the_data_go(policy: Policy) -> None:
    """An upgrade takes one of the configuration only, and that is newer than last night's data."""
    nightly = snapshot("nightly", NOW - timedelta(hours=9), include=("configuration", "data"))
    upgrades = [snapshot(f"upgrade-{n}", NOW - timedelta(hours=n), include=("configuration",)) for n in range(4)]
    dump = snapshot("dump", NOW - timedelta(days=9), include=("sources",))
    decided = {
        one.snapshot.snapshot_id: one for one in decide(policy, [*upgrades, nightly, dump], now_ms=milliseconds(NOW))
    }
    assert {"nightly", "dump", "upgrade-0"} <= {name for name, one in decided.items() if one.keep}
    assert "the newest with data" in decided["nightly"].reasons
    if not policy.within_days:
        assert not decided["upgrade-1"].keep


def test_a_snapshot_that_is_not_whole_never_lets_the_last_whole_one_go() -> None:
    partly = [snapshot(f"partial-{n}", NOW - timedelta(hours=n), consistency=Consistency.PARTIAL) for n in range(3)]
    whole = [snapshot(f"whole-{n}", NOW - timedelta(days=3, hours=n)) for n in range(2)]
    decided = decide(Policy(last=1), [*partly, *whole], now_ms=milliseconds(NOW))
    assert {one.snapshot.snapshot_id: one.reasons for one in decided if one.keep} == {
        "partial-0": ("the newest", "last 1 of 1"),
        "whole-0": ("the newest that is whole",),
    }


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Policy(weekly=2), ["0", "5"]),  # Friday, then the Sunday before
        (Policy(monthly=2), ["0", "20"]),
        (Policy(yearly=1), ["0"]),
        (Policy(within_days=3), ["0", "1", "2", "3"]),
        (Policy(daily=2, monthly=2), ["0", "1", "20"]),
    ],
)
def test_periods_are_those_of_the_calendar(policy: Policy, expected: list[str]) -> None:
    assert kept(policy, every(24, 30)) == expected


def test_days_are_those_of_the_policy_s_zone() -> None:
    """FZ-18's clock change: 25 October 2026 has 25 hours in Berlin, and its hour 2 comes twice."""
    berlin = ZoneInfo("Europe/Berlin")
    first = snapshot("first", datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=0))
    second = snapshot("second", datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=1))
    late = snapshot("late", datetime(2026, 10, 25, 23, 30, tzinfo=berlin))
    assert kept(Policy(hourly=3, zone="Europe/Berlin"), [first, second, late]) == ["late", "second", "first"]
    assert kept(Policy(daily=3, zone="Europe/Berlin"), [first, second, late]) == ["late"]
    assert kept(Policy(daily=3, zone="Pacific/Auckland"), [first, late]) == ["late", "first"]


def test_what_is_pinned_needed_damaged_newest_or_read_back_stays_with_its_reason() -> None:
    """FZ-19, CN-26: what something depends on is never removed."""
    rows = every(24, 6)
    rows[2] = dataclasses.replace(rows[2], pinned="audit")
    rows[3] = dataclasses.replace(rows[3], verified_level="hash")
    rows[4] = dataclasses.replace(rows[4], state=SnapshotState.CORRUPT)
    decided = decide(Policy(last=1), rows, now_ms=milliseconds(NOW), needed=["5"])
    assert {one.snapshot.snapshot_id: one.reasons for one in decided} == {
        "0": ("the newest", "last 1 of 1"),
        "1": (),
        "2": ("pinned: audit",),
        "3": ("the newest that was read back",),
        "4": ("damaged: a person decides",),
        "5": ("an upgrade could be rolled back to it",),
    }


def protecting(name: str, when: datetime, **more: object) -> Snapshot:
    return snapshot(name, when, labels=(Label("sys.protects", "an-operation"),), **more)


@pytest.mark.parametrize(
    ("policy", "period"), [(Policy(last=1), "last"), (Policy(daily=1), "daily"), (Policy(yearly=1), "yearly")]
)
def test_what_protects_a_change_takes_no_other_s_place(policy: Policy, period: str) -> None:
    """A restore of a dump has saved the broken database first, which is the newest with sources now."""
    rows = [
        protecting("broken", NOW, include=("sources",)),
        snapshot("good", NOW - timedelta(hours=1), include=("sources",)),
        protecting("former", NOW - timedelta(hours=2), include=("sources",)),
    ]
    reasons = {one.snapshot.snapshot_id: one.reasons for one in decide(policy, rows, now_ms=milliseconds(NOW))}
    assert reasons == {
        "broken": ("the newest",),
        "good": ("the newest, of those that protect no change", f"{period} 1 of 1"),
        "former": (),
    }


def test_what_protects_a_change_stays_for_the_same_reasons_as_any_other() -> None:
    """Needed, pinned, young, damaged or read back; and never lets one go that is so and was asked for."""
    rows = [
        snapshot("now", NOW, consistency=Consistency.PARTIAL),
        protecting("young", NOW - timedelta(hours=1)),
        protecting("needed", NOW - timedelta(days=5)),
        protecting("pinned", NOW - timedelta(days=6), pinned="audit"),
        protecting("read", NOW - timedelta(days=7), verified_level="hash"),
        snapshot("whole", NOW - timedelta(days=8)),
        snapshot("read too", NOW - timedelta(days=9), verified_level="hash"),
        protecting("none", NOW - timedelta(days=10)),
    ]
    decided = decide(Policy(last=1, within_days=1), rows, now_ms=milliseconds(NOW), needed=["needed"])
    assert {one.snapshot.snapshot_id: one.reasons for one in decided} == {
        "now": ("the newest", "last 1 of 1", "younger than 1 days"),
        "young": ("the newest that is whole", "younger than 1 days"),
        "needed": ("an upgrade could be rolled back to it",),
        "pinned": ("pinned: audit",),
        "read": ("the newest that was read back",),
        "whole": ("the newest that is whole, of those that protect no change",),
        "read too": ("the newest that was read back, of those that protect no change",),
        "none": (),
    }


def test_a_service_of_which_there_is_nothing_else_keeps_the_newest_that_protects() -> None:
    rows = [protecting(str(number), NOW - timedelta(days=number)) for number in range(3)]
    assert kept(Policy(last=3), rows) == ["0"]


def test_a_damaged_snapshot_fills_no_period() -> None:
    rows = every(1, 3)
    rows[0] = dataclasses.replace(rows[0], state=SnapshotState.CORRUPT)
    assert kept(Policy(daily=1), rows) == ["0", "1"]


def test_a_snapshot_of_a_clock_that_ran_ahead_takes_no_other_s_place() -> None:
    """It would be the newest for as long as its time is to come, and every one that is taken meanwhile would go."""
    rows = [snapshot("ahead", NOW + timedelta(days=300)), *every(24, 3)]
    assert kept(Policy(last=1), rows) == ["ahead", "0"]
    assert kept(Policy(daily=2, yearly=1), rows) == ["ahead", "0", "1"]


@pytest.mark.parametrize("document", [{}, {"last": 0}, {"last": 1, "zone": "Mars/Olympus"}, {"daily": 1, "zone": ""}])
def test_a_policy_that_cannot_be_meant_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(InvalidMessage):
        Policy.load(document)


COUNTS = st.integers(0, 5)
POLICIES = st.builds(Policy, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
TIMES = st.lists(st.integers(0, 3 * 365 * 24), max_size=60, unique=True)


def decided(policy: Policy, hours: list[int], every_so_many_protects: int = 0) -> list[Decision]:
    rows = [
        (protecting if every_so_many_protects and hour % every_so_many_protects == 0 else snapshot)(
            str(hour), NOW - timedelta(hours=hour)
        )
        for hour in hours
    ]
    return decide(policy, rows, now_ms=milliseconds(NOW))


@given(POLICIES, TIMES, st.integers(0, 3))
def test_applying_a_policy_again_changes_nothing(policy: Policy, hours: list[int], protect: int) -> None:
    staying = [int(one.snapshot.snapshot_id) for one in decided(policy, hours, protect) if one.keep]
    again = decided(policy, staying, protect)
    assert [int(one.snapshot.snapshot_id) for one in again if one.keep] == staying


@given(POLICIES, TIMES)
def test_every_snapshot_gets_one_decision_and_the_newest_stays(policy: Policy, hours: list[int]) -> None:
    found = decided(policy, hours)
    assert [int(one.snapshot.snapshot_id) for one in found] == sorted(hours)
    assert not found or found[0].keep


@given(TIMES, st.integers(1, 60))
def test_a_rule_keeps_as_many_as_it_says_and_never_more(hours: list[int], most: int) -> None:
    for policy in (Policy(last=most), Policy(hourly=most)):
        staying = sum(one.keep for one in decided(policy, hours))
        assert staying == min(most, len(hours))
