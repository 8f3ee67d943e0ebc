"""Say which snapshots of a service are kept; the sweeper applies it once a day.

    {"policy": {"last": 3, "daily": 7, "weekly": 5, "monthly": 12, "within_days": 2, "zone": "Europe/Berlin"}}

Replaces the former policy. Without `policy` the service has none, and every snapshot stays until it is deleted.
Pinned and damaged snapshots stay under any policy, as do the newest, the newest that is whole, the newest that was read
back, and the one that the last upgrade can be rolled back to. Snapshots that were taken to protect a change count for
no period.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import pydantic

from domain.context import Context
from domain.errors import InvalidMessage
from domain.outcome import Outcome, SaveService
from domain.retention import Policy
from domain.subscription import Subscription
from handlers import Payload

Count = Annotated[int, pydantic.Field(ge=0, le=10_000)]


class Rules(Payload):
    """How many to keep of each period; at least one must keep something."""

    last: Count = 0
    hourly: Count = 0
    daily: Count = 0
    weekly: Count = 0
    monthly: Count = 0
    yearly: Count = 0
    within_days: Count = 0
    zone: str = pydantic.Field(default="UTC", max_length=64)

    @pydantic.model_validator(mode="after")
    def _meant(self) -> Rules:
        try:
            self.policy()
        except InvalidMessage as error:
            raise ValueError(str(error)) from None
        return self

    def policy(self) -> Policy:
        """The domain's form."""
        return Policy.load(self.model_dump())


class SetRetention(Payload):
    """Without `policy`: none."""

    policy: Rules | None = None


def handle(command: SetRetention, context: Context) -> Outcome:
    """Write it into the service's record."""
    service = context.service()
    rules = command.policy.policy().document() if command.policy else {}
    kept = ", ".join(f"{name} {value}" for name, value in rules.items()) or "everything"
    return Outcome.succeeded(
        f"of service {service.service_id} is kept: {kept}",
        changes=(SaveService(dataclasses.replace(service, retention=rules)),),
        policy=rules,
    )


subscription = Subscription(SetRetention, handle)
