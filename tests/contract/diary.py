"""Schedules over a bench: made as settling makes them, and schedulers of several nodes that look when they are told.

Apart from the suites because the promises of storage and of the scheduler are told about the same schedules.
"""

from __future__ import annotations

import itertools
from typing import Any

import handlers
from domain.due import stamp
from domain.outcome import AddSnapshot, Change, SaveService
from domain.schedule import Pause, Schedule
from domain.schedule_changes import PauseSchedule, SaveSchedule
from domain.service import Service
from tests.contract.sql_bench import Bench, snapshot
from tests.fakes.clock import FakeClock
from tests.fakes.even_calendar import EvenCalendar
from workers.owner import Owner
from workers.scheduler import Diary, Scheduler

HOUR = 3_600_000
#: A full hour; the bench's clock is put there.
NOON = 500_000 * HOUR


_desks = itertools.count(1)


def make(bench: Bench, change: Change) -> None:
    """Settle an operation that makes this change; whatever else is waiting is begun by that."""
    op_id = bench.accept_one(service=f"desk-{next(_desks)}")
    claim = next(claim for claim in bench.claim(limit=100) if claim.operation.op_id == op_id)
    bench.succeed(claim, change)


def hourly(name: str = "hourly", **more: Any) -> Schedule:
    """Every hour; the first time is the hour after noon."""
    values: dict[str, Any] = {"kind": "create-snapshot", "cron": "60", "service_id": "web", "next_at": NOON + HOUR}
    return Schedule("acme", name, **(values | more))


def set_up(bench: Bench, *schedules: Schedule) -> None:
    """At noon; the schedules are new."""
    bench.now = NOON
    for schedule in schedules:
        make(bench, SaveSchedule(schedule))


def register(bench: Bench, *names: str, **more: Any) -> None:
    """Services of the tenant."""
    for name in names:
        make(bench, SaveService(Service(name, "acme", name, name, **more)))


def saved(bench: Bench, snapshot_id: str, service: str = "web", **more: Any) -> None:
    """A snapshot."""
    key = f"tenants/acme/services/{service}/snapshots/{snapshot_id}/manifest"
    make(bench, AddSnapshot(snapshot(snapshot_id, service_id=service, manifest_key=key, labels=(), **more)))


def pause(bench: Bench, name: str = "hourly", until: int = 0) -> None:
    make(bench, PauseSchedule("acme", name, Pause("a move", "/cli/anna", bench.now, until)))


def resume(bench: Bench, name: str = "hourly", next_at: int = 0) -> None:
    make(bench, PauseSchedule("acme", name, None, next_at))


class Node:
    """A node's scheduler over the bench's database."""

    def __init__(self, bench: Bench, name: str, calendar: EvenCalendar | None = None, unknown: str = "") -> None:
        """`unknown`: a kind of command that its version does not know."""
        self.owner = Owner(name, "boot", "ns", 1, "1")
        database = bench.database
        self.diary = Diary(
            database.schedules,
            database.recovery_points,
            database.services,
            database.catalogue,
            calendar or EvenCalendar(),
            {kind: known for kind, known in handlers.subscriptions().items() if kind != unknown},
        )
        self.woken = 0
        self.clock = FakeClock()
        self.scheduler = Scheduler(self.diary, self.owner, self.clock, self._wake, lambda: None)

    def look(self) -> None:
        self.scheduler.round()

    def _wake(self) -> None:
        self.woken += 1


def asked(bench: Bench) -> list[tuple[str, str]]:
    """(service, nominal time) of every command that schedules have asked for, in the order of acceptance."""
    found = bench.database.list_operations(limit=1000)
    ours = [one for one in reversed(found) if one.source.startswith("/backstay/schedules/")]
    return [(one.service_id, one.message_id.split("/")[1]) for one in ours]


def at(hours: float) -> str:
    """The nominal time so many hours after noon, as in message ids."""
    return stamp(NOON + round(hours * HOUR))
