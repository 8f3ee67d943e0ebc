"""What a nominal time of a schedule asks for: the services that it is about, and the commands for each.

Apart from the scheduler, which decides when: here nothing knows of time or of leases. A command is made exactly as if
it had been published, so that a node that takes it cannot tell the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from domain.contracts import Accepted, Catalogue, Services
from domain.decoding import request_hash
from domain.due import Due, message_id, run_at, source_of, stamp
from domain.errors import InvalidMessage, Refused
from domain.identity import Subject
from domain.message import Command
from domain.schedule import Firing, Schedule
from domain.subscription import Subscription
from handlers import parse


def firings(schedule: Schedule, found: Due, services: Services, now: int) -> list[Firing]:
    """A row for each nominal time and service."""
    about = _services(schedule, services)
    return [
        Firing(
            schedule.schedule_id,
            schedule.tenant_id,
            schedule.name,
            service_id,
            nominal,
            run_at(schedule, service_id, nominal, now),
        )
        for nominal in found.nominal
        for service_id in about
    ]


def commands(
    firing: Firing, schedule: Schedule, catalogue: Catalogue, subscriptions: Mapping[str, Subscription]
) -> tuple[list[Accepted], str]:
    """What is to be accepted; and why not, when that is nothing. Refused when this version does not know the kind: what
    is asked for then is another version's to say."""
    subscription = subscriptions.get(schedule.kind)
    if subscription is None:
        raise Refused(
            f"this version knows no {schedule.kind}",
            code="unknown-type",
            next_step="update this node: a later release has made the schedule",
        )
    if schedule.kind == "verify-snapshot":
        chosen = catalogue.least_read(firing.service_id, int(schedule.data.get("percent", 10)))
        level = {"level": schedule.data["level"]} if "level" in schedule.data else {}
        asked: list[tuple[dict[str, Any], Sequence[str]]] = [
            ({"snapshot_id": one.snapshot_id} | level, [one.snapshot_id]) for one in chosen
        ]
    else:
        asked = [(schedule.data, [])]
    try:
        items = [_accepted(firing, schedule.kind, data, more, subscription) for data, more in asked]
    except InvalidMessage as error:
        return [], f"this version does not take the schedule's data: {error}"
    return items, "" if items else "the service has no snapshot"


def _services(schedule: Schedule, services: Services) -> list[str]:
    if schedule.service_id:
        return [schedule.service_id]
    found = services.list(schedule.tenant_id)
    if schedule.kind == "apply-retention" and "policy" not in schedule.data:
        found = [one for one in found if one.retention]  # without a policy everything is kept, which is no failure
    return [one.service_id for one in found]


def _accepted(
    firing: Firing, kind: str, data: dict[str, Any], more: Sequence[str], subscription: Subscription
) -> Accepted:
    payload = parse(subscription, data)
    command = Command(
        source_of(firing.tenant_id, firing.name),
        message_id(firing, *more),
        kind,
        1,
        Subject(firing.tenant_id, firing.service_id),
        data,
        correlation_id=f"{firing.name}/{stamp(firing.nominal_at)}",
    )
    return Accepted(
        command,
        request_hash(command),
        exclusive=subscription.exclusive,
        local=subscription.local(payload),
        node=subscription.node(payload),
    )
