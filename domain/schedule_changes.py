"""Changes of schedules, and what drills have shown, as outcomes carry them.

Apart from the other changes because they concern no service's row.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.drill import Drill
from domain.schedule import Pause, Schedule


@dataclass(frozen=True, slots=True)
class SaveSchedule:
    """Make a schedule, or replace the definition of the one with its name. Whether it is paused stays; its next
    time stays too, unless the expression or the zone is another one. An older command never undoes a newer one."""

    schedule: Schedule


@dataclass(frozen=True, slots=True)
class RemoveSchedule:
    """Nothing is asked for any more; what was asked for goes on."""

    tenant_id: str
    name: str


@dataclass(frozen=True, slots=True)
class PauseSchedule:
    """Ask for nothing, or (without `pause`) go on; then `next_at`, unless it is 0, is the next nominal time."""

    tenant_id: str
    name: str
    pause: Pause | None
    next_at: int = 0


@dataclass(frozen=True, slots=True)
class SaveDrill:
    """Write down what a restore drill has shown."""

    drill: Drill
