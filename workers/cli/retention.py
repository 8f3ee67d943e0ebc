"""`backstay retention`: which snapshots of a service are kept, what that means today, and doing it now.

Apart from `snapshots` because a policy belongs to a service. The plan comes from the function that the worker runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import Refused
from workers.cli.documents import retention_document
from workers.cli.session import AsJson, Session, Timeout, session

if TYPE_CHECKING:
    from domain.retention import Decision
    from domain.service import Service

group = typer.Typer(no_args_is_help=True, help="Which snapshots of a service are kept.")

ServiceId = Annotated[str, typer.Argument(metavar="SERVICE_ID")]
Count = Annotated[int, typer.Option(metavar="N", min=0)]
Zone = Annotated[str, typer.Option(metavar="ZONE", help="Whose days and weeks, such as Europe/Berlin.")]


@group.command("set")
def set_(
    service_id: ServiceId,
    last: Count = 0,
    hourly: Count = 0,
    daily: Count = 0,
    weekly: Count = 0,
    monthly: Count = 0,
    yearly: Count = 0,
    within_days: Count = 0,
    zone: Zone = "UTC",
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Set the policy: of each period the newest snapshot is kept, for so many periods."""
    counts = {"last": last, "hourly": hourly, "daily": daily, "weekly": weekly, "monthly": monthly, "yearly": yearly}
    rules = {name: value for name, value in (counts | {"within_days": within_days}).items() if value}
    with session(as_json) as here:
        _send(here, "set-retention", _find(here, service_id), {"policy": rules | {"zone": zone}}, timeout)


@group.command()
def remove(service_id: ServiceId, timeout: Timeout = 600, as_json: AsJson = False) -> None:
    """Remove the policy: everything is kept."""
    with session(as_json) as here:
        _send(here, "set-retention", _find(here, service_id), {}, timeout)


@group.command()
def plan(service_id: ServiceId, as_json: AsJson = False) -> None:
    """Show what applying the policy now would delete and what keeps each of the others; changes nothing."""
    with session(as_json) as here:
        from domain.retaining import decisions
        from domain.retention import Policy
        from workers.planning import planning_context

        service = _find(here, service_id)
        if not service.retention:
            raise Refused(
                f"service {service_id} has no retention policy, so everything is kept",
                code="no-policy",
                next_step="`backstay retention set` gives it one",
            )
        found = decisions(planning_context(here.system, service_id), service, Policy.load(service.retention))
        _show(here, service, found)


@group.command()
def apply(service_id: ServiceId, timeout: Timeout = 3600, as_json: AsJson = False) -> None:
    """Delete now what the policy does not keep, and wait for the outcome."""
    with session(as_json) as here:
        _send(here, "apply-retention", _find(here, service_id), {}, timeout)


def _find(here: Session, service_id: str) -> Service:
    from workers.cli.services import find

    return find(here.database(), service_id)


def _send(here: Session, kind: str, service: Service, data: dict[str, Any], timeout: float) -> None:
    from workers.cli.following import send_and_follow
    from workers.cli.sending import cloud_event

    subject = f"tenant/{service.tenant_id}/service/{service.service_id}"
    send_and_follow(here, cloud_event(kind, subject, data, None, None), timeout)


def _show(here: Session, service: Service, found: list[Decision]) -> None:
    document = retention_document(service, found)
    here.screen.document(document)
    rows = [
        (d["snapshot_id"], d["taken_at"], "keep" if d["keep"] else "delete", _why(one))
        for d, one in zip(document["snapshots"], found, strict=True)
    ]
    here.screen.table(("SNAPSHOT", "TAKEN", "", "WHY"), rows, "no snapshots")
    going = sum(not one.keep for one in found)
    here.screen.line(f"{going} would be deleted, {len(found) - going} kept", "bold")


def _why(decision: Decision) -> str:
    nothing = "no rule counts what protects a change" if decision.snapshot.protects else "no rule"
    return "; ".join(decision.reasons) or nothing
