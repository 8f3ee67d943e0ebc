"""`backstay nodes`: which nodes there are, what they do, and taking one out of work and back.

Apart from the commands that run a node, because these are typed on any machine that reaches the database. A drain
is a row in SQL, so it holds for every process of the node, now and after a restart, until somebody takes it back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.node import NodeSeen, unknown
from workers.cli.documents import moment, node_document, operation_document, page
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Session, operator, session

if TYPE_CHECKING:
    from workers.bootstrap import Database

group = typer.Typer(no_args_is_help=True, help="Nodes: what they do, and taking one out of work and back.")

Name = Annotated[str, typer.Argument(metavar="NODE")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; shown to whoever asks what waits, and audited.")]
#: Operations and services that `show` lists.
MOST = 50


@group.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the nodes: how they stand, when they were last seen, what they run."""
    with session(as_json) as here:
        found = here.database().nodes.list()
        here.screen.document(page("nodes", [node_document(node) for node in found], len(found) or 1, "node"))
        rows = [
            (n.node, n.standing, f"{n.age_ms // 1000} s ago", n.running, n.bound, n.services, _room(n), n.version)
            for n in found
        ]
        titles = ("NODE", "STANDS", "SEEN", "RUNS", "BOUND TO IT", "SERVICES", "FREE FOR TREES", "VERSION")
        here.screen.table(titles, rows, "no node has run a worker yet; `backstay worker` starts one")


@group.command()
def show(node: Name, as_json: AsJson = False) -> None:
    """Show one node with what it runs, what waits for it, and the services that live there."""
    with session(as_json) as here:
        database = here.database()
        found = find(database, node)
        operations = database.operations_of_node(node, MOST)
        services = [one.service_id for one in database.list_services() if one.node == node]
        documents = [operation_document(one, database.waits_for(one)) for one in operations]
        here.screen.document(node_document(found) | {"operations": documents, "service_ids": services})
        named = ", ".join(services[:MOST]) + (" …" if len(services) > MOST else "")
        here.screen.facts([*_facts(found), ("services", named)])
        here.screen.line("")
        rows = [(d["operation_id"], d["kind"], d["service_id"], d["state"], d["waits_for"]) for d in documents]
        here.screen.table(("ID", "TYPE", "SERVICE", "STATE", "WAITS FOR"), rows, "no operation is bound to it")


@group.command()
def drain(
    node: Name,
    reason: Reason = "",
    wait: Annotated[bool, typer.Option("--wait", help="Come back when it has ended what it had begun.")] = False,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long --wait waits.")] = 600.0,
    as_json: AsJson = False,
) -> None:
    """Let a node begin nothing more; what it has begun, it ends. Holds until `undrain`, restarts included."""
    with session(as_json) as here:
        database = here.database()
        found = database.nodes.drain(node, operator(), reason)
        if wait:
            found = _wait(here, node, timeout)
        here.screen.document(node_document(found))
        if found.standing == "away":
            here.screen.line(f"node {node} begins nothing; it was last seen {found.age_ms // 1000} s ago")
        elif found.standing == "drained":
            here.screen.line(f"node {node} is drained: it runs nothing, its worker can be stopped")
        else:
            here.screen.line(f"node {node} begins nothing more, and ends {found.begun} that it has begun")
        if found.bound:
            here.screen.line(f"next: {found.bound} wait for it: `backstay nodes show {node}` lists them")
        if wait and found.standing == "draining":
            raise typer.Exit(Exit.UNKNOWN)


@group.command()
def undrain(node: Name, reason: Reason = "", as_json: AsJson = False) -> None:
    """Let a node take work again."""
    with session(as_json) as here:
        found = here.database().nodes.undrain(node, operator(), reason)
        here.screen.document(node_document(found))
        here.screen.line(f"node {node} takes work")


@group.command()
def forget(node: Name, reason: Reason = "", as_json: AsJson = False) -> None:
    """Remove a node that is gone for good; refused while a service lives there or an operation waits for it."""
    with session(as_json) as here:
        here.database().nodes.forget(node, operator(), reason)
        here.screen.document({"node": node, "forgotten": True})
        here.screen.line(f"node {node} is forgotten; should it beat again, it is known again")


def find(database: Database, node: str) -> NodeSeen:
    """The node; NotFound if there is none."""
    found = database.nodes.get(node)
    if found is None:
        raise unknown(node)
    return found


def _wait(here: Session, node: str, timeout: float) -> NodeSeen:
    from workers.cli.following import detached, until

    database = here.database()
    found = find(database, node)

    def look() -> str | None:
        nonlocal found
        found = find(database, node)
        return None if found.standing == "draining" else node

    try:
        until(look, timeout, lambda: None)
    except KeyboardInterrupt:
        again = f"`backstay nodes show {node}` says what it still runs"
        detached(here.screen, f"node {node} goes on draining", again, node_document(found))
    return found


def _facts(node: NodeSeen) -> list[tuple[str, Any]]:
    report = node.report
    drained = f"since {moment(node.drained_at)} by {node.drained_by}: {node.drain_reason or 'no reason given'}"
    disks = [f"{name} {_gb(disk.free)} free of {_gb(disk.total)} ({disk.path})" for name, disk in report.disks.items()]
    slots = ", ".join(f"{kind} {count}" for kind, count in report.slots.items())
    return [
        ("node", node.node),
        ("stands", node.standing),
        ("drained", drained if node.drained_at else None),
        ("seen", f"{moment(node.seen_at)}, {node.age_ms // 1000} s ago"),
        ("version", node.version),
        ("at once", f"{report.processes} × {report.threads}" if report.threads else None),
        ("slots", slots),
        ("bandwidth", ", ".join(f"{way} {rate} bytes/s" for way, rate in report.bandwidth.items())),
        ("room", "; ".join(disks)),
        ("low on room", report.low_on_room),
    ]


def _room(node: NodeSeen) -> str:
    disk = node.report.disks.get("apps")
    return f"{_gb(disk.free)} of {_gb(disk.total)}" if disk else "-"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
