"""What nobody publishes is asked for once a day, by however many nodes."""

from __future__ import annotations

from typing import cast

import pytest

from domain.contracts import Accepted, Catalogue, Inbox, Schedules, Services
from domain.schedule import Pause, Schedule
from domain.service import Service
from domain.snapshot import Snapshot
from tests.contract.sql_bench import snapshot
from tests.fakes.clock import FakeClock
from tests.fakes.door import FakeDoor
from workers.daily import Daily


class FakeServices:
    """Two services, one with a policy."""

    def list(self, tenant_id: str | None) -> list[Service]:
        return [
            Service("web", "acme", "Web", "web", retention={"last": 3}),
            Service("db", "acme", "Db", "db"),
        ]


class FakeCatalogue:
    """One snapshot that nobody has read for a while."""

    def longest_unread(self, days: int, since: int) -> list[Snapshot]:
        assert (days, since) == (30, 1_699_920_000_000), "since midnight in UTC"
        return [snapshot("s1")]


class FakeSchedules:
    """Some schedules."""

    def __init__(self, *schedules: Schedule) -> None:
        self._schedules = list(schedules)

    def list(self) -> list[Schedule]:
        return self._schedules


def daily(
    door: FakeDoor, clock: FakeClock, rung: list[bool], *schedules: Schedule, verify_days: int | None = None
) -> Daily:
    services, catalogue, inbox = cast(Services, FakeServices()), cast(Catalogue, FakeCatalogue()), cast(Inbox, door)
    known = cast(Schedules, FakeSchedules(*schedules))
    return Daily(services, catalogue, inbox, clock.wall_ms, lambda: rung.append(True), known, verify_days)


def test_a_policy_is_applied_once_a_day_whoever_asks() -> None:
    door, clock, rung = FakeDoor(), FakeClock(), list[bool]()
    nodes = [daily(door, clock, rung) for _ in range(2)]
    assert [node.ask() for node in nodes] == [1, 0]
    assert len(rung) == 1
    assert set(door.ids()) == {"apply-retention/web/2023-11-14"}


def test_the_next_day_it_is_asked_for_again() -> None:
    door, clock = FakeDoor(), FakeClock()
    node = daily(door, clock, [])
    node.ask()
    assert node.ask() == 0
    assert len(door.batches) == 1, "a day that was asked for costs nothing more"
    clock.pass_seconds(86_400)
    assert node.ask() == 1


@pytest.mark.parametrize(
    ("kind", "service", "asked"),
    [("apply-retention", "web", 0), ("apply-retention", "", 0), ("apply-retention", "db", 1), ("restore-drill", "", 1)],
)
def test_a_service_whose_retention_has_a_schedule_is_left_to_that(kind: str, service: str, asked: int) -> None:
    schedule = Schedule("acme", "weekly", kind, "@weekly", service_id=service, pause=Pause("a move", "/cli/anna", 1))
    assert daily(FakeDoor(), FakeClock(), [], schedule).ask() == asked


def test_snapshots_are_read_back_by_themselves_only_where_that_is_wanted() -> None:
    door, clock = FakeDoor(), FakeClock()
    assert daily(door, clock, [], verify_days=30).ask() == 2
    assert set(door.ids()) == {"apply-retention/web/2023-11-14", "verify-snapshot/s1/2023-11-14"}
    asked = next(one for one in door.items() if isinstance(one, Accepted) and one.command.kind == "verify-snapshot")
    assert (asked.command.data, asked.exclusive) == ({"snapshot_id": "s1"}, False)
