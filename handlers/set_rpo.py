"""Say how old the newest good snapshot of a service may become: its recovery point objective.

    {"goal_seconds": 86400}

Without `goal_seconds` nobody cares. A service that misses its goal is told of once, by the event
`backstay.rpo.missed.v1`, and once more when it meets it again, by `backstay.rpo.met.v1`.
"""

from __future__ import annotations

import dataclasses

import pydantic

from domain.context import Context
from domain.outcome import Outcome, SaveService
from domain.recovery_point import in_words
from domain.subscription import Subscription
from handlers import Payload

#: Ten years; more is no goal.
MOST_SECONDS = 315_360_000


class SetRpo(Payload):
    """Without `goal_seconds`: no goal."""

    goal_seconds: int | None = pydantic.Field(default=None, ge=60, le=MOST_SECONDS)


def handle(command: SetRpo, context: Context) -> Outcome:
    """Write it into the service's record."""
    service = context.service()
    goal = command.goal_seconds or 0
    wanted = dataclasses.replace(service, rpo_seconds=goal, rpo_since=context.now_ms() if goal else 0)
    said = f"may be {in_words(goal)} old" if goal else "may be of any age"
    return Outcome.succeeded(
        f"the newest good snapshot of service {service.service_id} {said}",
        changes=(SaveService(wanted),),
        goal_seconds=goal,
    )


subscription = Subscription(SetRpo, handle)
