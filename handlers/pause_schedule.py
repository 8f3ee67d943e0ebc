"""Have a schedule ask for nothing for a while, or let it go on.

    {"reason": "moving to the new store", "until": "2026-11-23T06:00:00+01:00"}

The subject's service is the schedule's name. Without `until` it is paused until somebody resumes it, with
`"paused": false`. Times that passed meanwhile are treated like any missed ones, as the schedule's `catch_up` says;
`skip_missed`, together with `"paused": false`, lets them pass.
"""

from __future__ import annotations

import pydantic

from domain.audit import actor_of
from domain.context import Context
from domain.errors import NotFound, Refused
from domain.outcome import Outcome
from domain.restore import moment_of
from domain.schedule import Pause, Schedule
from domain.schedule_changes import PauseSchedule as Change
from domain.subscription import Subscription
from handlers import Payload


class PauseSchedule(Payload):
    """Why, and until when."""

    paused: bool = True
    reason: str = pydantic.Field(default="", max_length=500)
    until: str | None = pydantic.Field(default=None, max_length=40)
    skip_missed: bool = False

    @pydantic.model_validator(mode="after")
    def _meant(self) -> PauseSchedule:
        if self.paused and not self.reason.strip():
            raise ValueError("a pause needs a reason, for whoever finds that nothing happens")
        if self.paused and self.skip_missed:
            raise ValueError('skip_missed goes with "paused": false')
        if not self.paused and self.until is not None:
            raise ValueError("until goes with a pause")
        if self.until is not None:
            _moment(self.until)
        return self


def handle(command: PauseSchedule, context: Context) -> Outcome:
    """Note it with the schedule."""
    schedule, now = known(context), context.now_ms()
    if not command.paused:
        next_at = context.calendar.after(schedule.cron, schedule.zone, now) if command.skip_missed else 0
        return Outcome.succeeded(
            f"schedule {schedule.name} goes on",
            changes=(Change(schedule.tenant_id, schedule.name, None, next_at),),
            schedule=schedule.name,
        )
    until = _moment(command.until) if command.until is not None else 0
    if until and until <= now:
        raise Refused("the pause would end before it begins", code="pause-in-the-past")
    actor = actor_of(context.operation.source)
    pause = Pause(command.reason, actor.name if actor else context.operation.source, now, until)
    ends = f"until {command.until}" if until else "until somebody resumes it"
    return Outcome.succeeded(
        f"schedule {schedule.name} is paused {ends}: {command.reason}",
        changes=(Change(schedule.tenant_id, schedule.name, pause),),
        schedule=schedule.name,
    )


def known(context: Context) -> Schedule:
    """The schedule that the message is about; NotFound if there is none."""
    operation = context.operation
    found = context.schedules.get(operation.tenant_id, operation.service_id)
    if found is None:
        raise NotFound(
            f"tenant {operation.tenant_id} has no schedule {operation.service_id}",
            code="unknown-schedule",
            next_step="`backstay schedules list` shows what there is",
        )
    return found


def _moment(text: str) -> int:
    try:
        return moment_of(text)
    except ValueError as error:
        raise ValueError(str(error).replace("at must", "until must", 1)) from None


subscription = Subscription(PauseSchedule, handle, exclusive=False)
