"""Nodes on pages: how each stands, what it runs, what waits for it, and taking one out of work and back.

Apart from operations because this is about machines. They belong to the installation, so a role in one tenant shows
none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from domain.node import NodeSeen, unknown
from workers.web.access import Action
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, part, shown
from workers.web.pages.operation_view import row

#: Operations and services that a node's page lists.
MOST = 50
#: A clock that is off by more makes times in different logs misleading.
SKEW_MS = 2_000
#: Free share of a disk below which it is shown as a worry.
FREE_SHARE = 0.05
STANDS = {
    "ready": ("takes work", "ok", "✓"),
    "draining": ("draining", "warn", "…"),
    "drained": ("drained", "quiet", "–"),
    "away": ("away", "bad", "!"),
}


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system of a node, for a meter."""

    name: str
    path: str
    free: int
    total: int
    used_percent: int
    low: bool


def routes() -> APIRouter:
    """The pages about nodes."""
    made = APIRouter(prefix="/nodes", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("/{node}", one, methods=["GET"])
    made.add_api_route("/{node}/{verb}", change, methods=["POST"])
    return made


def listed(request: Request, here: Here, who: Who, piece: Annotated[str, Query(alias="part")] = "") -> Response:
    """All of them."""
    who.require(Action.NODES_READ, None)
    found = here.database.nodes.list()
    if piece == "now":
        return part(here, "nodes_now.html", nodes=found, stands=STANDS)
    return shown(request, here, who, "nodes.html", section="nodes", title="Nodes", nodes=found, stands=STANDS)


def one(request: Request, here: Here, who: Who, node: str) -> Response:
    """One, with what it runs and what is bound to it."""
    who.require(Action.NODES_READ, None)
    found = find(here, node)
    operations = here.database.operations_of_node(node, MOST)
    services = [each for each in here.database.list_services() if each.node == node]
    return shown(
        request, here, who, "node.html", section="nodes", title=f"Node {node}", node=found, stands=STANDS,
        disks=disks(found), operations=[row(each, here.database.waits_for(each)) for each in operations],
        services=services[:MOST], more_services=max(0, len(services) - MOST), worries=worries(found),
        may_change=who.may(Action.NODES_CHANGE, None), may_forget=who.may(Action.NODES_FORGET, None),
    )  # fmt: skip


def change(
    here: Here, who: Who, node: str, verb: str, reason: Annotated[str, Form()] = "", typed: Annotated[str, Form()] = ""
) -> Response:
    """Drain it, let it take work again, or forget it."""
    who.require(Action.NODES_FORGET if verb == "forget" else Action.NODES_CHANGE, None)
    nodes, by = here.database.nodes, who.actor
    if verb == "drain":
        if not reason.strip():
            raise mistake("reason: say why, for whoever finds that it takes no work", "reason")
        nodes.drain(node, by, reason.strip())
    elif verb == "undrain":
        nodes.undrain(node, by, reason.strip())
    elif verb == "forget":
        if typed.strip() != node:
            raise mistake("to forget a node, type its name", "typed")
        nodes.forget(node, by, reason.strip())
        return RedirectResponse("/nodes?told=changed", status_code=303)
    else:
        raise mistake("a node can be drained, undrained or forgotten", "verb")
    here.wake()
    return RedirectResponse(f"/nodes/{node}?told=changed", status_code=303)


def find(here: Desk, node: str) -> NodeSeen:
    """The node; NotFound if none of that name has been seen."""
    found = here.database.nodes.get(node)
    if found is None:
        raise unknown(node[:80])
    return found


def disks(node: NodeSeen) -> list[Disk]:
    """What a node has said of its disks."""
    return [
        Disk(
            name,
            disk.path,
            disk.free,
            disk.total,
            100 - disk.free * 100 // disk.total if disk.total else 0,
            disk.total > 0 and disk.free < disk.total * FREE_SHARE,
        )
        for name, disk in node.report.disks.items()
    ]


def worries(node: NodeSeen) -> list[str]:
    """What a person should know about it, worst first."""
    found = []
    if node.away and (node.bound or node.services):
        found.append(
            f"{node.services} services live here and {node.bound} unfinished operations wait for it: start its worker, "
            "or restore the services on another node"
        )
    if node.report.low_on_room:
        found.append(node.report.low_on_room)
    if node.skew_ms is not None and abs(node.skew_ms) > SKEW_MS:
        direction = "ahead of" if node.skew_ms > 0 else "behind"
        found.append(f"its clock is {abs(node.skew_ms) / 1000:.0f} s {direction} the database's")
    return found
