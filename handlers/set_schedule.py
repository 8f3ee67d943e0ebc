"""Ask for a command by itself, at the times that a cron expression names; a schedule that has the name is replaced.

    {"kind": "create-snapshot", "service": "web", "cron": "30 2 * * *", "zone": "Europe/Berlin",
     "jitter_seconds": 900, "catch_up": "one", "coalesce": true, "data": {"labels": ["by:nightly"]}}

The subject's service is the schedule's name. Without `service` it is about every service that the tenant has when the
time comes. `kind` is one of create-snapshot, apply-retention, verify-snapshot and restore-drill, and `data` what that
command takes; verify-snapshot takes `level` and `percent`, how many of a service's snapshots are read back each time,
those first that nobody has read for the longest time. `catch_up` says what becomes of times that passed while no node
ran or the schedule was paused: none, one (the newest), all. With `coalesce` nothing is added to an equal command that
is waiting already.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic

import handlers
from domain.context import Context
from domain.errors import InvalidMessage
from domain.outcome import Outcome
from domain.schedule import CatchUp, Schedule
from domain.schedule_changes import SaveSchedule
from domain.subscription import Subscription
from domain.verification import VerifyLevel
from handlers import Name, Payload
from handlers.apply_retention import ApplyRetention
from handlers.create_snapshot import CreateSnapshot
from handlers.restore_drill import RestoreDrill

#: A day: more would make two runs of a daily schedule meet.
MOST_JITTER_SECONDS = 86_400


class Sample(Payload):
    """Which part of a service's snapshots is read back each time, and how closely."""

    level: Annotated[VerifyLevel, pydantic.Field(strict=False)] = VerifyLevel.HASH
    percent: int = pydantic.Field(default=10, ge=1, le=100)


#: What `data` must be for each kind.
MODELS: dict[str, type[Payload]] = {
    "create-snapshot": CreateSnapshot,
    "apply-retention": ApplyRetention,
    "verify-snapshot": Sample,
    "restore-drill": RestoreDrill,
}


class SetSchedule(Payload):
    """What to ask for, when, and for whom."""

    kind: Literal["create-snapshot", "apply-retention", "verify-snapshot", "restore-drill"]
    cron: str = pydantic.Field(min_length=1, max_length=200)
    service: Name | None = None
    zone: str = pydantic.Field(default="UTC", min_length=1, max_length=64)
    jitter_seconds: int = pydantic.Field(default=0, ge=0, le=MOST_JITTER_SECONDS)
    catch_up: Annotated[CatchUp, pydantic.Field(strict=False)] = CatchUp.ONE
    coalesce: bool = True
    data: dict[str, Any] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _meant(self) -> SetSchedule:
        try:
            handlers.parse_as(MODELS[self.kind], self.data)
        except InvalidMessage as error:
            raise ValueError(str(error)) from None
        return self


def handle(command: SetSchedule, context: Context) -> Outcome:
    """Check what the door cannot, and write it down."""
    tenant, name = context.operation.tenant_id, context.operation.service_id
    context.calendar.check(command.cron, command.zone)
    if command.service is not None:
        context.service(command.service)
    known = context.schedules.get(tenant, name)
    now = context.now_ms()
    wanted = Schedule(
        tenant_id=tenant,
        name=name,
        kind=command.kind,
        cron=command.cron,
        service_id=command.service or "",
        zone=command.zone,
        jitter_seconds=command.jitter_seconds,
        catch_up=command.catch_up,
        coalesce=command.coalesce,
        data=command.data,
        next_at=context.calendar.after(command.cron, command.zone, now),
    )
    about = f"service {command.service}" if command.service else f"every service of tenant {tenant}"
    stays = "; it stays paused" if known is not None and known.paused(now) else ""
    return Outcome.succeeded(
        f"schedule {name} asks for {command.kind} of {about} at {command.cron} ({command.zone}){stays}",
        changes=(SaveSchedule(wanted),),
        schedule=name,
    )


subscription = Subscription(SetSchedule, handle, exclusive=False)
