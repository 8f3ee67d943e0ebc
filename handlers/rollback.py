"""Put services back to the state before an upgrade: configuration always, data when asked.

    {"upgrade": "0192f0c1-…", "services": ["web"], "data": true, "hold": true}

Without `upgrade` the service's last one that succeeded is undone, to the snapshot that it took itself;
`snapshot_id` names another snapshot of the service. A safety snapshot is taken first, unless
`safety_snapshot` is false. `services` rolls back only some of the group. With `hold`, the default, the
version that was left is not applied again until `hold-version` releases it.
"""

from __future__ import annotations

from typing import Any

import pydantic

from domain import carrying
from domain.context import Context
from domain.course import Health
from domain.damage import DamagedSnapshot
from domain.outcome import Change, Outcome
from domain.rolling_back import Retreat, rollback_course
from domain.subscription import Subscription
from handlers import Id, Name, Payload
from handlers.upgrade_service import HealthGate


class Rollback(Payload):
    """`reason` is kept with the hold and shown to whoever wants to upgrade again."""

    upgrade: Id | None = None
    snapshot_id: Id | None = None
    services: tuple[Name, ...] | None = pydantic.Field(
        default=None, min_length=1, max_length=200, strict=False, fail_fast=True
    )
    data: bool = False
    safety_snapshot: bool = True
    hold: bool = True
    reason: str = pydantic.Field(default="", max_length=500)
    strict: bool = False
    whole: bool = False
    deploy_seconds: int = pydantic.Field(default=1800, ge=1, le=86400)
    health: HealthGate | None = None

    @pydantic.model_validator(mode="after")
    def _one_aim(self) -> Rollback:
        if self.snapshot_id is not None and (self.upgrade is not None or self.services is not None):
            raise ValueError("name either an upgrade (with services) or one snapshot of this service, not both")
        return self


def handle(command: Rollback, context: Context) -> Outcome:
    """Plan once, write the plan down, carry it out, hold the version."""
    try:
        return _handle(command, context)
    except DamagedSnapshot as error:
        return error.outcome()


def _handle(command: Rollback, context: Context) -> Outcome:
    course = carrying.planned(context)
    if course is None:
        course = rollback_course(context, retreat(command))
        if course.is_idle():
            return carrying.unchanged(context, course)
        context.journal.plan(course.steps(context.operation.op_id))
    return carrying.carry_out(context, course)


def retreat(command: Rollback) -> Retreat:
    """The command in the domain's words."""
    return Retreat(
        upgrade=command.upgrade,
        snapshot_id=command.snapshot_id,
        services=command.services,
        data=command.data,
        safety_snapshot=command.safety_snapshot,
        hold=command.hold,
        reason=command.reason,
        strict=command.strict,
        whole=command.whole,
        deploy_seconds=float(command.deploy_seconds),
        health=command.health.value() if command.health else Health(),
    )


def undo(command: Rollback, context: Context) -> None:
    """Go back to the state before the rollback."""
    carrying.put_back(context)


def closing(command: Rollback, context: Context, outcome: Outcome) -> tuple[Change, ...]:
    """The records of a rollback that did not come about."""
    return carrying.closing(context, outcome)


def _local(command: Any) -> bool:
    return bool(command.data)


subscription = Subscription(Rollback, handle, undo=undo, closing=closing, local=_local)
