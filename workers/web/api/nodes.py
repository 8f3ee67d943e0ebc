"""`/api/v1/nodes`: which hosts run workers, what they do, and taking one out of work and back.

Apart from the rest of the installation because these change something: a drain is a row in SQL, so it holds for every
process of the node until somebody takes it back. All of it takes a role everywhere.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path

from domain.node import NodeSeen, unknown
from workers.cli.documents import node_document
from workers.web.access import Action
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import NAME, Here, Why
from workers.web.api.operations import document
from workers.web.desk import Desk
from workers.web.entry import Who

routes = APIRouter(route_class=DocumentRoute, prefix="/nodes", tags=["nodes"])

#: Operations of a node that are shown.
MOST = 50

Node = Annotated[str, Path(pattern=NAME)]


@routes.get("")
def list_nodes(here: Here, who: Who) -> dict[str, Any]:
    """Nodes by name: how they stand, when they were last seen, what they run."""
    who.require(Action.NODES_READ, None)
    return {"nodes": [node_document(node) for node in here.database.nodes.list()], "next": None}


@routes.get("/{node}")
def show_node(here: Here, who: Who, node: Node) -> dict[str, Any]:
    """One node with what it runs, what waits for it, and the services that live there."""
    who.require(Action.NODES_READ, None)
    found = _found(here, node)
    operations = [document(here, operation) for operation in here.database.operations_of_node(node, MOST)]
    services = [one.service_id for one in here.database.list_services() if one.node == node]
    return node_document(found) | {"operations": operations, "service_ids": services}


@routes.post("/{node}/drain")
def drain_node(here: Here, who: Who, node: Node, why: Why) -> dict[str, Any]:
    """Let a node begin nothing more; what it has begun, it ends. Holds until undrain, restarts included."""
    who.require(Action.NODES_CHANGE, None)
    return node_document(here.database.nodes.drain(node, who.actor, why.reason))


@routes.post("/{node}/undrain")
def undrain_node(here: Here, who: Who, node: Node, why: Why) -> dict[str, Any]:
    """Let a node take work again."""
    who.require(Action.NODES_CHANGE, None)
    found = here.database.nodes.undrain(node, who.actor, why.reason)
    here.wake()
    return node_document(found)


@routes.post("/{node}/forget")
def forget_node(here: Here, who: Who, node: Node, why: Why) -> dict[str, Any]:
    """Remove a node that is gone for good; 409 while a service lives there or an operation waits for it."""
    who.require(Action.NODES_FORGET, None)
    here.database.nodes.forget(node, who.actor, why.reason)
    return {"node": node, "forgotten": True}


def _found(here: Desk, node: str) -> NodeSeen:
    found = here.database.nodes.get(node)
    if found is None:
        raise unknown(node)
    return found
