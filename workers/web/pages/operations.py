"""Operations on pages: the list with its filters, one with its story as it goes on, and what a person can decide.

Apart from the view because this asks and that words. The page of an operation that is under way is refreshed in place;
what can be done with it is offered by its state and by the caller's role, and asked for again when it is sent.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from domain.contracts import DeadLetter
from domain.operation import Operation, State
from workers.command_event import uuid7
from workers.resolving import stated_rows
from workers.web import visible
from workers.web.access import Action, Caller
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.deciding import Places, decisions
from workers.web.pages.frame import Here, mistake, part, scope, shown
from workers.web.pages.operation_view import ENDED, facts, row, view
from workers.web.pages.restore_choice import looked_at
from workers.web.pages.wording import state as worded

PAGE = 50


def routes() -> APIRouter:
    """The pages about operations."""
    made = APIRouter(prefix="/operations", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("/{operation_id}", one, methods=["GET"])
    made.add_api_route("/{operation_id}/cancel", cancel, methods=["POST"])
    made.add_api_route("/{operation_id}/resolve", resolve, methods=["POST"])
    made.add_api_route("/{operation_id}/move", move, methods=["POST"])
    made.add_api_route("/{operation_id}/give-up", give_up, methods=["POST"])
    return made


def listed(
    request: Request,
    here: Here,
    who: Who,
    state: Annotated[list[str], Query()] = [],  # noqa: B006 - FastAPI copies it
    kind: str = "",
    service: str = "",
    tenant: str = "",
    before: str = "",
) -> Response:
    """The list, a page of it."""
    chosen = scope(who, Action.OPERATIONS_READ, tenant)
    states = [State(one) for one in state if one in State.__members__]
    found = here.database.list_operations(
        tenant_id=chosen, service_id=service or None, states=states, kinds=[kind] if kind else (), limit=PAGE + 1,
        before=before or None,
    )  # fmt: skip
    asked = {"state": [one.value for one in states], "kind": kind, "service": service, "tenant": tenant}
    kept = [(name, value) for name, values in asked.items() for value in _each(values)]
    more = found[PAGE - 1].op_id if len(found) > PAGE else ""
    return shown(
        request, here, who, "operations.html", section="operations", title="Operations",
        rows=[row(operation, _waits(here, operation)) for operation in found[:PAGE]],
        tenant=chosen,
        filter={
            "states": [(one.value, worded(one)[0]) for one in State],
            "state": states[0].value if len(states) == 1 else "",
            "kinds": sorted(here.subscriptions), "kind": kind, "service": service, "any": bool(kept),
        },
        older=f"?{urlencode([*kept, ('before', more)])}" if more else "",
        newest=f"/operations?{urlencode(kept)}" if before else "",
    )  # fmt: skip


def one(
    request: Request, here: Here, who: Who, operation_id: str, piece: Annotated[str, Query(alias="part")] = ""
) -> Response:
    """One operation; `part=head` and `part=now` are what changes while it goes on."""
    operation = visible.operation(here, who, operation_id)
    letters = here.database.find_dead_letters(operation.source, operation.message_id)
    steps, told = here.database.ledger.steps(operation_id), here.database.told(operation_id)
    seen = view(operation, steps, _waits(here, operation), told, letters)
    if piece in ("head", "now"):
        return part(here, f"operation_{piece}.html", view=seen, refreshing=True)
    return shown(
        request, here, who, "operation.html", section="operations", title=f"{operation.kind} of {operation.service_id}",
        view=seen, refreshing=False, facts=facts(operation, seen.figures), message_id=uuid7(),
        actions=decisions(operation, who, places(here, who, operation)), links=_links(operation, letters),
    )  # fmt: skip


def cancel(here: Here, who: Who, operation_id: str) -> Response:
    """Ask it to stop."""
    operation = visible.operation(here, who, operation_id)
    who.require(Action.OPERATIONS_CANCEL, operation.tenant_id)
    after = here.database.ledger.request_cancel(operation_id, who.actor)
    here.wake()
    told = "before" if after in ENDED - {State.CANCELLED} else "stopping"
    return back(operation_id, told)


def resolve(
    here: Here, who: Who, operation_id: str, how: Annotated[str, Form()], reason: Annotated[str, Form()] = "",
    typed: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """End what is STUCK by a person's word, or let it try again."""
    operation = visible.operation(here, who, operation_id)
    wanted = Action.OPERATIONS_RETRY if how == "retry" else Action.OPERATIONS_RESOLVE
    who.require(wanted, operation.tenant_id)
    if how not in ("retry", "accept", "force"):
        raise mistake("how: must be retry, accept or force", "how")
    if how != "retry":
        if not reason.strip():
            raise mistake("to state how a service stands, give a reason", "reason")
        _named(operation, typed)
    if operation.state is not State.STUCK:
        return back(operation_id, "before")
    changes = stated_rows(here.database, operation_id, how)
    after = here.database.ledger.resolve_stuck(operation_id, how, who.actor, reason.strip(), changes)
    here.wake()
    return back(operation_id, "before" if after is None else "resolved")


def move(
    here: Here, who: Who, operation_id: str, to: Annotated[str, Form()], reason: Annotated[str, Form()] = "",
    typed: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Give it, and its service, to another node."""
    operation = visible.operation(here, who, operation_id)
    who.require(Action.OPERATIONS_MOVE, None)
    _named(operation, typed)
    here.database.moves.move(operation_id, to, who.actor, reason.strip())
    here.wake()
    return back(operation_id, "changed")


def give_up(
    here: Here, who: Who, operation_id: str, reason: Annotated[str, Form()] = "", typed: Annotated[str, Form()] = ""
) -> Response:
    """Make STUCK what only a lost node could finish."""
    operation = visible.operation(here, who, operation_id)
    who.require(Action.OPERATIONS_GIVE_UP, None)
    if not reason.strip():
        raise mistake("reason: say how it is known that the node does not come back", "reason")
    _named(operation, typed)
    here.database.moves.give_up(operation_id, who.actor, reason.strip())
    return back(operation_id, "changed")


def places(here: Desk, who: Caller, operation: Operation) -> Places | None:
    """Where it could go, if its node is lost or drained and the caller may see nodes."""
    if operation.node is None or operation.state in ENDED or not who.may(Action.NODES_READ, None):
        return None
    nodes = here.database.nodes.list()
    at = next((node for node in nodes if node.node == operation.node), None)
    if at is not None and not at.away and not at.drained_at:
        return None
    ready = tuple(node.node for node in nodes if node.standing == "ready")
    return Places(ready, lost=at is None or at.away)


def _named(operation: Operation, typed: str) -> None:
    if typed.strip() != operation.service_id:
        raise mistake("to decide this, type the service's id", "typed")


def back(operation_id: str, told: str) -> Response:
    """To the page of the operation, with a word about what was done."""
    return RedirectResponse(f"/operations/{operation_id}?told={told}", status_code=303)


def _waits(here: Desk, operation: Operation) -> str:
    return "" if operation.state in ENDED else here.database.waits_for(operation)


def _links(operation: Operation, letters: list[DeadLetter]) -> list[dict[str, str]]:
    """Where to go on: the snapshot that was made, the dry run's restore, dead letters about it."""
    found, figures = [], (operation.outcome or {}).get("figures") or {}
    snapshot_id = str(operation.data.get("snapshot_id") or "")
    if figures.get("dry_run") and (choice := looked_at(operation, snapshot_id)) is not None:
        asked = urlencode([*choice.pairs(), ("dry", operation.op_id)])
        found.append({"href": f"/snapshots/{snapshot_id}/restore?{asked}", "title": "Restore it so"})
    elif figures.get("snapshot_id"):
        found.append({"href": f"/snapshots/{figures['snapshot_id']}", "title": "The snapshot"})
    own = [letter for letter in letters if letter.op_id == operation.op_id]
    found += [{"href": f"/dead-letters/{letter.dead_letter_id}", "title": "Its dead letter"} for letter in own]
    return found


def _each(values: Any) -> list[str]:
    return values if isinstance(values, list) else [values] if values else []
