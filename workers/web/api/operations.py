"""`/api/v1/operations`: what is going on, why it waits, how it ended; asking it to stop, and deciding what is STUCK.

Apart from commands because these are about operations that exist. What a caller may not see does not exist for them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from domain.errors import Refused
from domain.operation import Operation, State
from workers.cli.documents import ENDED, operation_document, page
from workers.explained import explained
from workers.resolving import stated_rows
from workers.web import visible
from workers.web.access import Action
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import NAME, Before, Here, Limit, OfTenant, OperationId, Why, across
from workers.web.desk import Desk
from workers.web.entry import Who

routes = APIRouter(route_class=DocumentRoute, prefix="/operations", tags=["operations"])

States = Annotated[list[State], Query(alias="state", description="In one of these states.")]
Kinds = Annotated[list[str], Query(alias="kind", max_length=50, description="Of one of these types.")]


class Resolution(Why):
    """A person's word on a STUCK operation."""

    how: Literal["retry", "accept", "force"] = Field(
        description="retry: put it back once more. accept: it is as before, by my word. force: its target holds, by "
        "my word."
    )


class Move(Why):
    """Where an operation shall go."""

    to: str = Field(pattern=NAME, description="The node where its service lives from now on.")


@routes.get("")
def list_operations(
    here: Here,
    who: Who,
    tenant: OfTenant = None,
    service: Annotated[str | None, Query(pattern=NAME)] = None,
    state: States = [],  # noqa: B006 - FastAPI copies it
    kind: Kinds = [],  # noqa: B006
    limit: Limit = 50,
    before: Before = None,
) -> dict[str, Any]:
    """Operations, newest first."""

    def find(name: str | None) -> list[Operation]:
        return here.database.list_operations(
            tenant_id=name, service_id=service, states=state, kinds=kind, limit=limit + 1, before=before
        )

    found = across(who, Action.OPERATIONS_READ, tenant, find, lambda operation: operation.seq)
    return page("operations", [document(here, operation) for operation in found[: limit + 1]], limit, "operation_id")


@routes.get("/{operation_id}")
def show_operation(here: Here, who: Who, operation_id: OperationId) -> dict[str, Any]:
    """One operation, with how far it has come."""
    return document(here, visible.operation(here, who, operation_id))


@routes.get("/{operation_id}/story")
def explain_operation(here: Here, who: Who, operation_id: OperationId) -> dict[str, Any]:
    """One operation from its acceptance on: steps, replies, what was put back, how it ended, what to do next."""
    found = explained(here.database, visible.operation(here, who, operation_id))
    return found.document() | {"summary": found.summary}


@routes.post("/{operation_id}/cancel", status_code=202)
def cancel_operation(here: Here, who: Who, operation_id: OperationId) -> dict[str, Any]:
    """Ask an operation to stop; it puts back what it touched. 409 when it has ended already."""
    operation = visible.operation(here, who, operation_id)
    who.require(Action.OPERATIONS_CANCEL, operation.tenant_id)
    state = here.database.ledger.request_cancel(operation_id, who.actor)
    if state in ENDED - {State.CANCELLED}:
        raise Refused(
            f"operation {operation_id} has already ended: {state}",
            code="already-ended",
            next_step="its story tells how; a STUCK one wants to be resolved",
        )
    here.wake()
    return document(here, visible.operation(here, who, operation_id))


@routes.post("/{operation_id}/resolve")
def resolve_operation(here: Here, who: Who, operation_id: OperationId, word: Resolution) -> dict[str, Any]:
    """End what is STUCK, or let it try again. Its service stays reserved until then. 409 when it is not STUCK."""
    operation = visible.operation(here, who, operation_id)
    action = Action.OPERATIONS_RETRY if word.how == "retry" else Action.OPERATIONS_RESOLVE
    who.require(action, operation.tenant_id)
    database = here.database
    changes = stated_rows(database, operation_id, word.how) if operation.state is State.STUCK else ()
    if database.ledger.resolve_stuck(operation_id, word.how, who.actor, word.reason, changes) is None:
        raise Refused(
            f"operation {operation_id} is {operation.state}, not STUCK",
            code="not-stuck",
            next_step="its story tells how it stands",
        )
    here.wake()
    return document(here, visible.operation(here, who, operation_id))


@routes.post("/{operation_id}/move")
def move_operation(here: Here, who: Who, operation_id: OperationId, move: Move) -> dict[str, Any]:
    """Give an operation of a node that is away or drained to another one, and its service with it. Nothing is copied.
    409 when its node takes work, or when it may have changed files there."""
    visible.operation(here, who, operation_id)
    who.require(Action.OPERATIONS_MOVE, None)
    services = here.database.moves.move(operation_id, move.to, who.actor, move.reason)
    here.wake()
    return document(here, visible.operation(here, who, operation_id)) | {"moved_services": services}


@routes.post("/{operation_id}/give-up")
def give_up_operation(here: Here, who: Who, operation_id: OperationId, why: Why) -> dict[str, Any]:
    """Make STUCK what only a lost node could finish, so that resolve can end it. 409 when its node takes work."""
    visible.operation(here, who, operation_id)
    who.require(Action.OPERATIONS_GIVE_UP, None)
    here.database.moves.give_up(operation_id, who.actor, why.reason)
    return document(here, visible.operation(here, who, operation_id))


def document(here: Desk, operation: Operation) -> dict[str, Any]:
    """The JSON form, with what it waits for."""
    return operation_document(operation, None if operation.state in ENDED else here.database.waits_for(operation))
