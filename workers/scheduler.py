"""The thread that looks after schedules and recovery points: on every node, and one of them at a time.

Apart from the sweeper because it asks for work instead of tidying up. Nothing that must be true rests on its lease: a
nominal time is asked for once because its row is written once, and its row ends in the transaction that accepts its
commands. So two nodes that both believe to lead, a kill anywhere, and a clock that jumps to and fro change nothing but
who does it. All times are the database's; this process's own clock only says when to look again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from domain.contracts import Calendar, Catalogue, Clock, RecoveryPoints, Schedules, Services
from domain.due import due
from domain.errors import BackstayError, Weather
from domain.schedule import Firing, FiringState, Schedule
from domain.subscription import Subscription
from workers.cron import CronCalendar
from workers.loop import Loop
from workers.owner import Owner
from workers.scheduled import commands, firings

if TYPE_CHECKING:
    from workers.bootstrap import Database

log = structlog.get_logger("scheduler")

#: Seconds between looks.
LOOK_SECONDS = 2.0
#: How long a silent leader keeps the lease, milliseconds.
LEASE_MS = 30_000
#: Seconds between looks for services that miss their goals, and between forgetting old rows.
GOALS_SECONDS, PRUNE_SECONDS = 30.0, 3600.0
#: How long is remembered what became of nominal times, milliseconds.
MEMORY_MS = 90 * 86_400_000
#: Planned rows that are turned into commands between two looks at the lease.
MOST_ASKED = 200


@dataclass(frozen=True, slots=True)
class Diary:
    """The ports that the scheduler needs."""

    schedules: Schedules
    recovery_points: RecoveryPoints
    services: Services
    catalogue: Catalogue
    calendar: Calendar
    subscriptions: Mapping[str, Subscription]

    @classmethod
    def over(cls, database: Database, subscriptions: Mapping[str, Subscription]) -> Diary:
        """Those of a database."""
        return cls(
            database.schedules,
            database.recovery_points,
            database.services,
            database.catalogue,
            CronCalendar(),
            subscriptions,
        )


class Scheduler:
    """One thread of one process. `start()`, `stop()`."""

    def __init__(self, diary: Diary, owner: Owner, clock: Clock, wake: Callable[[], None], told: Callable[[], None]):
        """`wake` is called when there is new work, `told` when there is a new event."""
        self._diary, self._owner, self._clock, self._wake, self._told = diary, owner, clock, wake, told
        self._stopping = threading.Event()
        self._loop = Loop("scheduler", self._look)
        self._due: dict[str, float] = {}
        self._leads = False
        self._left: set[Firing] = set()  # what the last look could not turn into commands

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End after what is in hand, and let another node lead at once."""
        self._stopping.set()
        self._loop.stop(timeout)
        if self._leads:
            try:
                self._diary.schedules.step_down(str(self._owner))
            except BackstayError as error:
                log.warning("schedule.lease-left", detail=str(error))

    def _look(self, stopping: threading.Event) -> None:
        self.round()
        stopping.wait(LOOK_SECONDS)

    def round(self) -> None:
        """Do whatever is due, if this process leads."""
        turn = self._diary.schedules.lead(str(self._owner), LEASE_MS, self._owner.is_dead)
        if (turn is not None) != self._leads:
            self._leads = turn is not None
            log.info("schedule.leads", leads=self._leads)
        if turn is None:
            return
        if turn.went_back:
            self._put_back(turn.now)
            self._diary.schedules.put_right(str(self._owner), turn.now)
        for schedule in self._diary.schedules.due(turn.now):
            self._guarded(self._plan, schedule, turn.now)
        self._ask(turn.now)
        if self._is_time("goals", GOALS_SECONDS):
            self._tell()
        if self._is_time("prune", PRUNE_SECONDS):
            self._diary.schedules.prune(turn.now - MEMORY_MS)

    # ------------------------------------------------------------ nominal times
    def _plan(self, schedule: Schedule, now: int) -> None:
        """Write down what has come due, and move on to the next time."""
        found = due(schedule, self._diary.calendar, now)
        if found is None:
            return
        rows = firings(schedule, found, self._diary.services, now)
        planned = self._diary.schedules.plan(schedule, found.next_at, rows, decided_at=now)
        if planned is None:
            return
        if found.missed:
            log.warning("schedule.missed", tenant=schedule.tenant_id, schedule=schedule.name, times=found.missed)
        log.info("schedule.due", tenant=schedule.tenant_id, schedule=schedule.name, planned=planned)

    def _put_back(self, now: int) -> None:
        """The clock was ahead, and so are the next times: without this a schedule would rest until the clock is
        there again. So are rows that wait for their jitter, which would be in the way of the right ones. What was
        asked for at a time that comes once more is not asked for again. Done again from the start when something
        failed in between: a time that was put back already is not ahead."""
        log.warning("schedule.clock-went-back")
        for schedule in self._diary.schedules.list():
            self._guarded(self._move_back, schedule, now)

    def _move_back(self, schedule: Schedule, now: int) -> None:
        """As it is by then: who moves it meanwhile may still go by the other clock."""
        found: Schedule | None = schedule
        while found is not None and not self._diary.schedules.go_back(found, self._next_at(found, now)):
            found = self._diary.schedules.get(found.tenant_id, found.name)

    def _next_at(self, schedule: Schedule, now: int) -> int:
        next_at = self._diary.calendar.after(schedule.cron, schedule.zone, now)
        return next_at if next_at and next_at < schedule.next_at else schedule.next_at

    def _guarded(self, act: Callable[[Schedule, int], None], schedule: Schedule, now: int) -> None:
        """One schedule that cannot be read any more must not keep the others from their times."""
        try:
            act(schedule, now)
        except Weather:
            raise
        except BackstayError as error:
            log.error("schedule.unusable", tenant=schedule.tenant_id, schedule=schedule.name, detail=str(error))

    # ------------------------------------------------------------ commands
    def _ask(self, now: int) -> None:
        known: dict[tuple[str, str], Schedule | None] = {}
        ended: list[FiringState | None] = []
        left: set[Firing] = set()
        for firing in self._diary.schedules.ripe(now, MOST_ASKED + len(self._left)):  # behind them there is more
            if self._stopping.is_set():
                break
            try:
                ended.append(self._ask_one(firing, self._schedule_of(firing, known)))
            except Weather:
                raise
            except (BackstayError, LookupError, TypeError, ValueError) as error:  # as a later release has stored it
                left.add(firing)
                self._tell_left(firing, error)
        self._left = left
        if FiringState.ASKED in ended:
            self._wake()

    def _schedule_of(self, firing: Firing, known: dict[tuple[str, str], Schedule | None]) -> Schedule | None:
        key = (firing.tenant_id, firing.name)
        if key not in known:
            known[key] = self._diary.schedules.get(*key)
        return known[key]

    def _tell_left(self, firing: Firing, error: Exception) -> None:
        """It stays planned, for a node that can read it, and is told of once."""
        if firing not in self._left:
            detail = str(error) if isinstance(error, BackstayError) else type(error).__name__
            log.error(
                "schedule.not-asked",
                tenant=firing.tenant_id, schedule=firing.name, service=firing.service_id, detail=detail,
            )  # fmt: skip

    def _ask_one(self, firing: Firing, schedule: Schedule | None) -> FiringState | None:
        if schedule is None or schedule.schedule_id != firing.schedule_id:
            return self._diary.schedules.ask(firing, (), coalesce=False, why="the schedule was removed")
        items, why = commands(firing, schedule, self._diary.catalogue, self._diary.subscriptions)
        state = self._diary.schedules.ask(firing, items, coalesce=schedule.coalesce, why=why)
        if state is not None:
            log.info(
                "schedule.asked",
                result=state.value, tenant=firing.tenant_id, schedule=firing.name, service=firing.service_id,
            )  # fmt: skip
        return state

    # ------------------------------------------------------------ goals
    def _tell(self) -> None:
        missed, met = self._diary.recovery_points.tell()
        if missed:
            log.warning("rpo.missed", services=missed)
        if missed or met:
            self._told()

    def _is_time(self, name: str, seconds: float) -> bool:
        now = self._clock.boottime()
        if now < self._due.get(name, 0.0):
            return False
        self._due[name] = now + seconds
        return True
