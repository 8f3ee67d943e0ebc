"""`backstay rpo`: how old each service's newest good snapshot is, beside how old it may become.

Apart from snapshots because it speaks of services, also of those that have none.
"""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.documents import recovery_document
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Session, Timeout, session

group = typer.Typer(no_args_is_help=True, help="How much of each service would be lost now.")

ServiceId = Annotated[str, typer.Argument(metavar="SERVICE_ID")]


@group.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(metavar="T", help="Of this tenant.")] = None,
    missed: Annotated[bool, typer.Option("--missed", help="Only those that miss their goals.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 1 when a service misses its goal.")] = False,
    as_json: AsJson = False,
) -> None:
    """List services by how much would be lost, the most first."""
    with session(as_json) as here:
        found = [one for one in here.database().recovery_points.list(tenant) if one.missed or not missed]
        found.sort(key=lambda one: (not one.missed, one.newest_at, one.service_id))
        documents = [
            {"service_id": one.service_id, "tenant_id": one.tenant_id} | recovery_document(one) for one in found
        ]
        here.screen.document({"services": documents, "next": None})
        rows = [(one.service_id, one.tenant_id, *one.words()) for one in found]
        here.screen.table(("SERVICE", "TENANT", "LAST SAVED", "GOAL", ""), rows, "no services")
        if exit_code and any(one.missed for one in found):
            raise typer.Exit(Exit.FAILED)


@group.command("set")
def set_(
    service_id: ServiceId,
    goal: Annotated[str, typer.Argument(metavar="SPAN", help="Such as 26h or 90min.")],
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Say how old the newest good snapshot of a service may become."""
    with session(as_json) as here:
        from workers.cli.spans import seconds_of

        _send(here, service_id, {"goal_seconds": seconds_of(goal, "goal")}, timeout)


@group.command()
def remove(service_id: ServiceId, timeout: Timeout = 600, as_json: AsJson = False) -> None:
    """Have no goal."""
    with session(as_json) as here:
        _send(here, service_id, {}, timeout)


def _send(here: Session, service_id: str, data: dict[str, int], timeout: float) -> None:
    from workers.cli.following import send_and_follow
    from workers.cli.sending import cloud_event
    from workers.cli.services import find

    service = find(here.database(), service_id)
    subject = f"tenant/{service.tenant_id}/service/{service.service_id}"
    send_and_follow(here, cloud_event("set-rpo", subject, data, None, None), timeout)
