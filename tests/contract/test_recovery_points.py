"""How old each service's newest good snapshot is, telling when that is too old, and what drills have shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from domain.contracts import Event
from domain.drill import Drill
from domain.outcome import MarkCorrupt, SaveService
from domain.recovery_point import RecoveryPoint
from domain.schedule_changes import SaveDrill
from domain.service import Service
from tests.contract.diary import HOUR, NOON, make, register, saved
from tests.contract.sql_bench import Bench


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    with Bench.opened(database_url) as opened:
        opened.now = NOON
        yield opened


def point(bench: Bench, service: str = "web") -> RecoveryPoint:
    (found,) = bench.database.recovery_points.list(service_id=service)
    return found


def told(bench: Bench) -> list[Event]:
    """Events about recovery points that were not taken yet."""
    return [event for event in bench.database.outbox.take(1000, 3_600_000) if event.topic.startswith("rpo.")]


def test_the_age_is_that_of_the_newest_snapshot_that_holds_data_and_is_not_damaged(bench: Bench) -> None:
    register(bench, "web", "db")
    assert point(bench).age_seconds is None
    saved(bench, "old", taken_at=NOON - 9 * HOUR)
    saved(bench, "good", taken_at=NOON - 5 * HOUR)
    saved(bench, "torn", taken_at=NOON - 2 * HOUR)
    saved(bench, "bare", taken_at=NOON - HOUR, include=("configuration",))
    make(bench, MarkCorrupt("torn", "a pack is gone"))
    assert point(bench).age_seconds == 5 * 3600
    assert point(bench, "db").newest_at == 0


def test_lists_are_of_all_of_a_tenant_or_of_one(bench: Bench) -> None:
    register(bench, "web", "db")
    make(bench, SaveService(Service("else", "other", "else", "else")))
    points = bench.database.recovery_points
    assert [one.service_id for one in points.list()] == ["db", "else", "web"]
    assert [one.service_id for one in points.list("other")] == ["else"]


def test_pages_go_by_service_id_and_may_be_of_those_that_miss_their_goal(bench: Bench) -> None:
    for name in ("a", "b", "c", "d"):
        tenant = "other" if name == "b" else "acme"
        make(bench, SaveService(Service(name, tenant, name, name, rpo_seconds=3600, rpo_since=NOON - 2 * HOUR)))
    register(bench, "e", rpo_seconds=3600, rpo_since=NOON)  # has an hour from now on
    register(bench, "f")  # has no goal
    saved(bench, "s1", "c", taken_at=NOON - HOUR // 2)
    points = bench.database.recovery_points

    def names(found: list[RecoveryPoint]) -> str:
        return "".join(one.service_id for one in found)

    assert [names(points.page(None, 4)), names(points.page(None, 4, "d"))] == ["abcd", "ef"]
    assert names(points.page(["acme"], 9, missed=True)) == "ad"
    assert names(points.page(None, 9, missed=True)) == names([one for one in points.list() if one.missed]) == "abd"
    assert [names(points.page(None, 2, missed=True)), names(points.page(None, 2, "b", missed=True))] == ["ab", "d"]
    assert (names(points.page([], 9)), names(points.of(["f", "b", "none"])), points.of([])) == ("", "bf", [])


def test_a_miss_is_told_once_whoever_looks_and_its_end_once_more(bench: Bench) -> None:
    register(bench, "web", "db", rpo_seconds=3600, rpo_since=NOON)
    saved(bench, "s1", taken_at=NOON)
    saved(bench, "s2", "db", taken_at=NOON)
    tell = bench.database.recovery_points.tell
    assert tell() == (0, 0)
    bench.now = NOON + HOUR + 1
    assert [tell(), tell()] == [(2, 0), (0, 0)]
    assert sorted(event.topic for event in told(bench)) == ["rpo.missed.acme"] * 2
    saved(bench, "s3", taken_at=bench.now)
    assert [tell(), tell()] == [(0, 1), (0, 0)]
    (met,) = told(bench)
    assert met.topic == "rpo.met.acme"
    assert (met.payload["type"], met.payload["subject"]) == ("backstay.rpo.met.v1", "tenant/acme/service/web")
    bench.now += HOUR + 1
    assert tell() == (1, 0), "the next miss is another one"


def test_a_service_without_snapshots_misses_its_goal_once_that_is_old_enough(bench: Bench) -> None:
    register(bench, "web", rpo_seconds=3600, rpo_since=NOON)
    bench.now = NOON + HOUR
    assert not point(bench).missed
    bench.now += 1
    assert point(bench).missed
    assert bench.database.recovery_points.tell() == (1, 0)
    (event,) = told(bench)
    assert event.payload["data"] == {
        "service_id": "web", "goal_seconds": 3600, "age_seconds": None,
        "sentence": "service web has no good snapshot; the goal is 1 h",
    }  # fmt: skip


def test_a_goal_that_is_withdrawn_ends_its_miss(bench: Bench) -> None:
    register(bench, "web", rpo_seconds=3600, rpo_since=NOON - 2 * HOUR)
    tell = bench.database.recovery_points.tell
    assert tell() == (1, 0)
    register(bench, "web")
    assert tell() == (0, 1)


def test_drills_are_listed_newest_first_and_the_newest_of_each_service_is_known(bench: Bench) -> None:
    passed = Drill("d1", "acme", "web", "s1", "n1", passed=True, recovery_ms=1500, bytes=10, files=2, goal_seconds=1)
    failed = Drill("d2", "acme", "web", "", "n1", passed=False, reason="snapshot-not-found")
    other = dataclasses.replace(passed, op_id="d3", service_id="db", goal_seconds=0)
    for number, drill in enumerate((passed, failed, other)):
        bench.now = NOON + number
        make(bench, SaveDrill(drill))
    drills = bench.database.drills
    assert [one.op_id for one in drills.list()] == ["d3", "d2", "d1"]
    assert [one.op_id for one in drills.list(service_id="web", limit=1)] == ["d2"]
    assert drills.list("nobody") == []
    assert [one.op_id for one in drills.newest()] == ["d3", "d2"]
    assert drills.list(service_id="web")[1] == dataclasses.replace(passed, ended_at=NOON)
    assert [one.within_goal for one in drills.list()] == [True, False, False]


def test_drills_come_in_pages_also_those_that_ended_at_the_same_time(bench: Bench) -> None:
    for name in ("d1", "d2", "d3"):
        make(bench, SaveDrill(Drill(name, "acme", "web", "", "n1", passed=False, reason="snapshot-not-found")))
    pages = [[one.op_id for one in bench.database.drills.list(limit=2, before=before)] for before in (None, "d2", "d1")]
    assert pages == [["d3", "d2"], ["d1"], []]
