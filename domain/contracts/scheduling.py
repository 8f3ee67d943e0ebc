"""The ports of what is asked for by itself: schedules, the scheduler's lease, recovery points, drills.

Apart from the inbox because nobody publishes these. That a nominal time is asked for once rests on two things in SQL:
the row of each time for each service, which is written once, and the id of the message, which is made of both. The
lease only spares nodes the work, and shows people who does it.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.contracts.intake import Accepted
from domain.drill import Drill
from domain.recovery_point import RecoveryPoint
from domain.schedule import Firing, FiringState, Schedule


@dataclass(frozen=True, slots=True)
class Turn:
    """The lease of the scheduler, as it was granted. Times are UTC milliseconds by the database's clock."""

    now: int
    went_back: bool  # the clock stands before a time at which somebody has looked


@dataclass(frozen=True, slots=True)
class Leader:
    """Who looks after schedules, or did last."""

    owner: str
    until: int
    looked_at: int
    now: int


class Schedules(Protocol):
    """Schedules and what they have asked for. Definitions change only by settling."""

    def get(self, tenant_id: str, name: str) -> Schedule | None:
        """The schedule, unless it was removed."""

    def list(self, tenant_id: str | None = None, service_id: str | None = None) -> builtins.list[Schedule]:
        """By tenant and name; of a service, with those of its whole tenant."""

    def page(
        self,
        tenant_ids: Sequence[str] | None,
        service_id: str | None,
        limit: int,
        after: tuple[str, str] | None = None,
    ) -> builtins.list[Schedule]:
        """As `list`, of any of the tenants (all if None), at most so many, behind that tenant and name."""

    def due(self, now: int) -> builtins.list[Schedule]:
        """Those that are not paused and whose next nominal time has come."""

    def plan(self, schedule: Schedule, next_at: int, firings: Sequence[Firing] = (), *, decided_at: int) -> int | None:
        """Move the schedule to its next time and write those rows, in one commit; how many are new. None, and
        nothing is written, when somebody else has moved it, its definition has changed since it was read, or
        `decided_at`, the time by which all this was found to be due, is still to come: the clock has gone back."""

    def go_back(self, schedule: Schedule, next_at: int) -> bool:
        """The clock went back: in one commit, move the schedule to its next time, forget the rows of times that are
        still to come, that nothing was asked for, and that it comes by again, and let what was to begin later than its
        jitter allows begin within it. False, and nothing is written, when somebody else has moved it or its definition
        has changed since it was read."""

    def ripe(self, now: int, limit: int) -> builtins.list[Firing]:
        """Planned rows whose time has come, oldest first."""

    def ask(self, firing: Firing, items: Sequence[Accepted], *, coalesce: bool, why: str = "") -> FiringState | None:
        """Accept the commands and end the row, in one commit. `coalesce`: what equals a command of the service that
        nobody has begun yet is not added to it. Without items, or while the schedule is paused or after it was
        removed, the row is skipped. None when somebody else has ended it."""

    def history(
        self, tenant_id: str, name: str, limit: int, before: tuple[int, str, str] | None = None
    ) -> builtins.list[Firing]:
        """What became of the newest nominal times, newest first, behind that time, service and schedule id."""

    def prune(self, before: int) -> int:
        """Forget what ended before that time; how many rows."""

    def lead(self, owner: str, ttl_ms: int, is_dead: Callable[[str], bool]) -> Turn | None:
        """Take or keep the scheduler's lease; None while somebody else holds it who is not certainly dead. That the
        clock went back is told, to whoever leads, until `put_right` was called."""

    def put_right(self, owner: str, now: int) -> None:
        """Nothing rests any more on the times before the clock went back to `now`, if it is still this owner's lease
        that says so."""

    def step_down(self, owner: str) -> None:
        """Give the lease back, if it is this owner's."""

    def leader(self) -> Leader | None:
        """Who holds the lease, or held it last; None when nobody ever did."""


class RecoveryPoints(Protocol):
    """How old the newest good snapshot of each service is."""

    def list(self, tenant_id: str | None = None, service_id: str | None = None) -> builtins.list[RecoveryPoint]:
        """Of all services, of a tenant's, or of one, by service id."""

    def of(self, service_ids: Sequence[str]) -> builtins.list[RecoveryPoint]:
        """Of these services, by service id."""

    def page(
        self, tenant_ids: Sequence[str] | None, limit: int, after: str | None = None, *, missed: bool = False
    ) -> builtins.list[RecoveryPoint]:
        """Of the services of any of the tenants (all if None), or of those that miss their goal: by service id, at
        most so many, behind the id `after`."""

    def tell(self) -> tuple[int, int]:
        """Write an event for each service that has missed its goal, or meets it again, since this was called last;
        how many of each. Whoever calls it, each change is told once."""


class Drills(Protocol):
    """What restore drills have shown."""

    def list(
        self,
        tenant_id: str | None = None,
        service_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> builtins.list[Drill]:
        """Newest first, behind the one of the operation `before`."""

    def newest(self) -> builtins.list[Drill]:
        """The newest of each service, by service id."""
