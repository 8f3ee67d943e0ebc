"""Upgrade a service, or all services of its group, to a published version; all of it or nothing.

    {"version": "v2.0", "group": true, "include_data": true, "strict": false,
     "health": {"status": "running", "within_seconds": 120}}

A snapshot is taken first. Values that the user has set are kept; `backstay plan upgrade` shows what would
happen. What the region answers with 400 is left out and named in the outcome (`complete: false`), or with
`strict` turns everything back. A failed deployment or health gate puts that service back, and with `whole`
all of them. `services` chooses among the group; `delete` lets relations go that the version no longer has.
"""

from __future__ import annotations

from typing import Any

import pydantic

from domain import carrying
from domain.context import Context
from domain.course import Health
from domain.outcome import Change, Outcome
from domain.subscription import Subscription
from domain.upgrading import Wish, upgrade_course
from handlers import Name, Payload


class HealthGate(Payload):
    """What must hold after the deployment. `hook` runs the program that the node is configured with."""

    status: str | None = pydantic.Field(default="running", max_length=40)
    hook: bool = False
    within_seconds: int = pydantic.Field(default=120, ge=1, le=3600)

    def value(self) -> Health:
        """As the course keeps it."""
        return Health(self.status, self.hook, float(self.within_seconds))


class UpgradeService(Payload):
    """`group_key` defaults to what the service was installed from; `plugins` names the team's plugin ids."""

    version: str = pydantic.Field(min_length=1, max_length=64)
    group_key: str | None = pydantic.Field(default=None, min_length=1, max_length=128)
    group: bool = False
    services: tuple[Name, ...] | None = pydantic.Field(
        default=None, min_length=1, max_length=200, strict=False, fail_fast=True
    )
    include_data: bool = False
    strict: bool = False
    whole: bool = False
    delete: bool = False
    ignore_hold: bool = False
    plugins: dict[str, str] = pydantic.Field(default_factory=dict)
    deploy_seconds: int = pydantic.Field(default=1800, ge=1, le=86400)
    health: HealthGate | None = None


def handle(command: UpgradeService, context: Context) -> Outcome:
    """Plan once, write the plan down, carry it out."""
    course = carrying.planned(context)
    if course is None:
        course = upgrade_course(context, wish(command))
        if course.is_idle():
            return carrying.unchanged(context, course)
        context.journal.plan(course.steps(context.operation.op_id))
    return carrying.carry_out(context, course)


def wish(command: UpgradeService) -> Wish:
    """The command in the domain's words."""
    return Wish(
        version=command.version,
        group_key=command.group_key,
        group=command.group,
        services=command.services,
        include_data=command.include_data,
        strict=command.strict,
        whole=command.whole,
        delete=command.delete,
        ignore_hold=command.ignore_hold,
        plugins=command.plugins,
        deploy_seconds=float(command.deploy_seconds),
        health=command.health.value() if command.health else Health(),
    )


def undo(command: UpgradeService, context: Context) -> None:
    """Put back what was touched."""
    carrying.put_back(context)


def closing(command: UpgradeService, context: Context, outcome: Outcome) -> tuple[Change, ...]:
    """The records of an upgrade that did not come about."""
    return carrying.closing(context, outcome)


def _local(command: Any) -> bool:
    return bool(command.include_data)


subscription = Subscription(UpgradeService, handle, undo=undo, closing=closing, local=_local)
