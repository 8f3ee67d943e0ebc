"""`backstay nodes evacuate`: the services of a lost node, restored on another one by ordinary commands.

Apart from the other commands about nodes because this one publishes: what it asks for are messages like any other,
with ids made of node, service and snapshot, so that asking again asks for nothing twice.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from domain.errors import Refused
from domain.evacuation import Return, plan_return
from domain.node import NodeSeen, check_target
from domain.operation import State
from domain.service import Service
from workers.cli.documents import ENDED, moment
from workers.cli.exits import Exit
from workers.cli.nodes import Name, Reason, find, group
from workers.cli.session import AsJson, Session, confirm, session

UNFINISHED = [state for state in State if state not in ENDED] + [State.STUCK]


@group.command()
def evacuate(
    node: Name,
    to: Annotated[str, typer.Option("--to", metavar="NODE", help="Where the services live from then on.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be asked for.")] = False,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Restore every service of a lost or drained node on another one, from its newest good snapshot."""
    with session(as_json) as here:
        database = here.database()
        lost, target = find(database, node), find(database, to)
        _check(lost, target)
        returns = [_plan(here, service, to) for service in database.list_services() if service.node == node]
        _show(here, returns)
        ready = [one for one in returns if not one.trouble]
        if ready and not dry_run:
            lost_too = "whatever they have changed since their snapshots is lost"
            confirm(here, f"{len(ready)} services are restored on node {to}; {lost_too}", yes)
            here.audit("node.evacuate", f"node/{node}", reason=reason, to=to, services=len(ready))
            for one in ready:
                _ask(here, one, node, to)
        here.screen.document({"node": node, "to": to, "dry_run": dry_run, "services": [_document(o) for o in returns]})
        verb = "would be restored" if dry_run else "are being restored; `backstay operations watch` follows them"
        here.screen.line(f"{len(ready)} of {len(returns)} services {verb}", "bold")
        if len(ready) < len(returns):
            raise typer.Exit(Exit.PARTIAL)


def _check(lost: NodeSeen, target: NodeSeen) -> None:
    if not lost.away and not lost.drained_at:
        raise Refused(
            f"node {lost.node} is alive and takes work",
            code="node-alive",
            next_step=f"`backstay nodes drain {lost.node} --wait` first; take snapshots before, if they are old",
        )
    check_target(target)


def _plan(here: Session, service: Service, to: str) -> Return:
    database = here.database()
    unfinished = database.list_operations(service_id=service.service_id, states=UNFINISHED, limit=1000)
    begun = [one for one in unfinished if one.state not in (State.QUEUED, State.STUCK)]
    journal = {one.op_id: database.ledger.steps(one.op_id) for one in begun}
    newest = database.catalogue.newest(service.service_id)
    return plan_return(service, newest, unfinished, journal, to, database.now_ms())


def _ask(here: Session, one: Return, node: str, to: str) -> None:
    from workers.cli.sending import cloud_event, publish

    subject = f"tenant/{one.tenant_id}/service/{one.service_id}"
    for op_id in one.cancel:
        about = {"operation_id": op_id}
        publish(here.settings, cloud_event("cancel-operation", subject, about, f"evacuate/{node}/{op_id}", None))
    data = {"snapshot_id": one.snapshot_id, "include": list(one.include), "target": {"node": to}}
    message_id = f"evacuate/{node}/{one.service_id}/{one.snapshot_id}"
    publish(here.settings, cloud_event("restore-snapshot", subject, data, message_id, None))


def _show(here: Session, returns: list[Return]) -> None:
    rows = [
        (one.service_id, one.snapshot_id, moment(one.taken_at), len(one.cancel) or None, one.trouble) for one in returns
    ]
    here.screen.table(("SERVICE", "SNAPSHOT", "OF", "CANCELS", "BUT"), rows, "no service lives there")
    for one in returns:
        if one.next_step:
            here.screen.line(f"next: {one.service_id}: {one.next_step}")


def _document(one: Return) -> dict[str, Any]:
    return {
        "service_id": one.service_id,
        "tenant_id": one.tenant_id,
        "snapshot_id": one.snapshot_id,
        "taken_at": moment(one.taken_at),
        "cancels": list(one.cancel),
        "trouble": one.trouble or None,
        "next_step": one.next_step or None,
    }
