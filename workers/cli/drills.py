"""`backstay drills`: restores to a scratch place, and how long they took.

Apart from snapshots because a drill is about a service's recovery: which snapshot that takes is not chosen by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli.documents import moment
from workers.cli.session import AsJson, Limit, Timeout, session

if TYPE_CHECKING:
    from domain.drill import Drill

group = typer.Typer(no_args_is_help=True, help="Restores to a scratch place, measured.")


@group.command("list")
def list_(
    service: Annotated[str | None, typer.Option(metavar="ID", help="Of this service.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="T", help="Of this tenant.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List drills, newest first."""
    with session(as_json) as here:
        documents = [document(one) for one in here.database().drills.list(tenant, service, limit)]
        here.screen.document({"drills": documents, "next": None})
        rows = [
            (d["ended_at"], d["service_id"], "passed" if d["passed"] else f"failed: {d['reason']}", _took(d), d["node"])
            for d in documents
        ]
        empty = "no drills; `backstay drills run SERVICE_ID` begins one"
        here.screen.table(("ENDED", "SERVICE", "RESULT", "RECOVERY", "NODE"), rows, empty)


@group.command()
def run(
    service_id: Annotated[str, typer.Argument(metavar="SERVICE_ID")],
    snapshot: Annotated[str | None, typer.Option(metavar="ID", help="Not the newest good one, but this.")] = None,
    node: Annotated[str | None, typer.Option(metavar="NODE", help="There, not on any node.")] = None,
    goal: Annotated[str | None, typer.Option(metavar="SPAN", help="How long it may take, such as 30min.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Read the restored tree again from the disk.")] = False,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Restore the newest good snapshot to a scratch place now, and wait for the measured time."""
    with session(as_json) as here:
        from workers.cli.following import send_and_follow
        from workers.cli.sending import cloud_event
        from workers.cli.services import find
        from workers.cli.spans import seconds_of

        service = find(here.database(), service_id)
        given = {"snapshot_id": snapshot, "node": node, "goal_seconds": seconds_of(goal, "goal") if goal else None}
        data: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        subject = f"tenant/{service.tenant_id}/service/{service.service_id}"
        send_and_follow(here, cloud_event("restore-drill", subject, data | {"verify": verify}, None, None), timeout)


def document(drill: Drill) -> dict[str, Any]:
    """A drill as JSON."""
    return {
        "operation_id": drill.op_id,
        "service_id": drill.service_id,
        "tenant_id": drill.tenant_id,
        "snapshot_id": drill.snapshot_id or None,
        "node": drill.node,
        "passed": drill.passed,
        "reason": drill.reason or None,
        "recovery_seconds": drill.recovery_ms / 1000 if drill.passed else None,
        "goal_seconds": drill.goal_seconds or None,
        "within_goal": drill.within_goal,
        "bytes": drill.bytes,
        "files": drill.files,
        "ended_at": moment(drill.ended_at),
    }


def _took(shown: dict[str, Any]) -> str:
    if shown["recovery_seconds"] is None:
        return "-"
    slow = "" if shown["within_goal"] else ", slower than its goal"
    return f"{shown['recovery_seconds']:.1f} s{slow}"
