"""Remove a schedule; what it has asked for already goes on.

    {"reason": "the service is gone"}

The subject's service is the schedule's name.
"""

from __future__ import annotations

import pydantic

from domain.context import Context
from domain.outcome import Outcome
from domain.schedule_changes import RemoveSchedule as Remove
from domain.subscription import Subscription
from handlers import Payload
from handlers.pause_schedule import known


class RemoveSchedule(Payload):
    """Why, for whoever looks for it later."""

    reason: str = pydantic.Field(default="", max_length=500)


def handle(command: RemoveSchedule, context: Context) -> Outcome:
    """It asks for nothing any more."""
    schedule = known(context)
    return Outcome.succeeded(
        f"schedule {schedule.name} is removed" + (f": {command.reason}" if command.reason else ""),
        changes=(Remove(schedule.tenant_id, schedule.name),),
        schedule=schedule.name,
    )


subscription = Subscription(RemoveSchedule, handle, exclusive=False)
