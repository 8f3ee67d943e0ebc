"""Keep a service from being upgraded to a version, or let it go again.

    {"version": "v2.0", "hold": false, "reason": "fixed upstream"}

A rollback holds the version that it leaves by itself; this command releases it. The subject is the service.
"""

from __future__ import annotations

import pydantic

from domain.context import Context
from domain.outcome import HoldVersion as Hold
from domain.outcome import Outcome
from domain.subscription import Subscription
from domain.upgrading import configuration_of
from handlers import Payload


class HoldVersion(Payload):
    """`group_key` defaults to what the service was installed from."""

    version: str = pydantic.Field(min_length=1, max_length=64)
    group_key: str | None = pydantic.Field(default=None, min_length=1, max_length=128)
    hold: bool = True
    reason: str = pydantic.Field(default="", max_length=500)


def handle(command: HoldVersion, context: Context) -> Outcome:
    """Write the hold down, or remove it."""
    service = context.service()
    group_key = command.group_key or str(configuration_of(service).origin.get("group_key") or "")
    verb = "held" if command.hold else "released"
    return Outcome.succeeded(
        f"version {command.version} is {verb} for service {service.service_id}",
        changes=(Hold(service.service_id, group_key, command.version, command.hold, command.reason),),
        service_id=service.service_id,
        version=command.version,
        held=command.hold,
    )


subscription = Subscription(HoldVersion, handle)
