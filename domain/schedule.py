"""Schedules as data: what is asked for by itself, when, and for which services.

Apart from the commands that they ask for: those are ordinary ones, with the same outcomes and events as if somebody
had published them. A nominal time is one that the cron expression names; what is asked for at it may begin later.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Commands that a schedule may ask for.
KINDS = ("create-snapshot", "apply-retention", "verify-snapshot", "restore-drill")


class CatchUp(StrEnum):
    """What happens to nominal times that passed while nobody looked, or while the schedule was paused."""

    NONE = "none"  # nothing, unless it was only a moment ago
    ONE = "one"  # once, for the newest of them
    ALL = "all"  # once for each


class FiringState(StrEnum):
    """What became of one nominal time for one service. All but the first never change again."""

    PLANNED = "planned"  # due, and waiting for its jitter
    ASKED = "asked"  # its commands are accepted
    COALESCED = "coalesced"  # the same command was waiting already, so nothing was added
    SKIPPED = "skipped"  # nothing was asked for; `why` says why not


@dataclass(frozen=True, slots=True)
class Pause:
    """Why nothing is asked for. `until` is UTC milliseconds; 0 means until somebody resumes it."""

    reason: str
    by: str
    at: int
    until: int = 0

    def holds(self, now: int) -> bool:
        """Whether it still does."""
        return not self.until or now < self.until


@dataclass(frozen=True, slots=True)
class Schedule:
    """A rule of one tenant. Times are UTC milliseconds by the database's clock."""

    tenant_id: str
    name: str
    kind: str  # the command, one of KINDS
    cron: str
    schedule_id: str = ""  # the operation that made it; a schedule of the same name made later has another
    service_id: str = ""  # empty: every service of the tenant
    zone: str = "UTC"
    jitter_seconds: int = 0
    catch_up: CatchUp = CatchUp.ONE
    coalesce: bool = True
    data: dict[str, Any] = field(default_factory=dict)
    pause: Pause | None = None
    next_at: int = 0  # the next nominal time
    changed_at: int = 0
    changed_by: str = ""
    seq: int = 0  # of the operation that wrote the definition

    def paused(self, now: int) -> bool:
        """Whether nothing is asked for at that time."""
        return self.pause is not None and self.pause.holds(now)

    def covers(self, tenant_id: str, service_id: str) -> bool:
        """Whether it is about that service."""
        return self.tenant_id == tenant_id and self.service_id in ("", service_id)


@dataclass(frozen=True, slots=True)
class Firing:
    """One nominal time of a schedule for one service."""

    schedule_id: str
    tenant_id: str
    name: str
    service_id: str
    nominal_at: int
    run_at: int
    state: FiringState = FiringState.PLANNED
    why: str = ""
    operations: tuple[str, ...] = ()
    updated_at: int = 0
