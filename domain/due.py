"""When schedules come due, and what becomes of times that were missed: by the clock, the calendar and the policy.

Pure, so that what `backstay schedules show` foretells is what the scheduler does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from domain.contracts.cron import Calendar
from domain.schedule import CatchUp, Firing, Schedule

#: How late a nominal time may be and still be kept by a schedule that makes up for nothing, milliseconds.
LATE_MS = 10 * 60_000
#: A schedule that makes up for everything makes up for at most so many times, the newest.
MOST_CAUGHT_UP = 100
#: How far back missed times are looked for, besides the first, milliseconds: a year of minutes would take a minute.
HORIZON_MS = 31 * 86_400_000


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done about a schedule whose next nominal time has come."""

    nominal: tuple[int, ...]  # to be asked for, oldest first
    missed: int  # passed, and nobody will make up for them
    next_at: int


def due(schedule: Schedule, calendar: Calendar, now: int) -> Due | None:
    """What has come due by `now`; None when nothing has."""
    if not schedule.next_at or schedule.next_at > now:
        return None
    passed = [schedule.next_at]
    ahead = calendar.after(schedule.cron, schedule.zone, max(schedule.next_at, now - HORIZON_MS))
    while ahead and ahead <= now:
        passed.append(ahead)
        ahead = calendar.after(schedule.cron, schedule.zone, ahead)
    match schedule.catch_up:
        case CatchUp.NONE:
            kept = passed[-1:] if now - passed[-1] <= LATE_MS else []
        case CatchUp.ONE:
            kept = passed[-1:]
        case CatchUp.ALL:
            kept = passed[-MOST_CAUGHT_UP:]
    return Due(tuple(kept), len(passed) - len(kept), ahead)


def run_at(schedule: Schedule, service_id: str, nominal: int, now: int) -> int:
    """When it begins: a part of the jitter after its nominal time, or after now if that is long past.

    The part is always the same for a schedule and a service, so that the time between two runs stays even.
    """
    jitter = schedule.jitter_seconds * 1000
    digest = hashlib.sha256(f"{schedule.schedule_id}/{service_id}".encode()).digest()
    begins = nominal if now - nominal <= max(jitter, LATE_MS) else now
    return begins + int.from_bytes(digest[:8]) % (jitter + 1)


def source_of(tenant_id: str, name: str) -> str:
    """The source of the commands that a schedule asks for."""
    return f"/backstay/schedules/{tenant_id}/{name}"


def stamp(nominal: int) -> str:
    """A nominal time as it stands in message ids."""
    return f"{datetime.fromtimestamp(nominal / 1000, UTC):%Y-%m-%dT%H:%MZ}"


def message_id(firing: Firing, *more: str) -> str:
    """The id of a command: the same whoever asks, so that it is one operation."""
    return "/".join((firing.schedule_id, stamp(firing.nominal_at), firing.service_id, *more))
