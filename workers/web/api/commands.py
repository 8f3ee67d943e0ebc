"""POST `/api/v1/tenants/T/services/S/COMMAND`: every command that there is, by the model that its handler declares.

Apart from the resources because nothing here knows a command: the routes, their bodies and their descriptions come
from `handlers/`, and who may use them from the table in `access.py`. An answer of 202 means that the command is in the
inbox: it ends in exactly one outcome, whatever happens to this process.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Response

import handlers
from domain.identity import Subject
from domain.subscription import Subscription
from workers.web.access import COMMANDS
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import Here, Key, ServiceId, TenantId, Trace
from workers.web.api.operations import document
from workers.web.entry import Who


def routes() -> APIRouter:
    """A route for each command."""
    router = APIRouter(
        route_class=DocumentRoute, prefix="/tenants/{tenant_id}/services/{service_id}", tags=["commands"]
    )
    for kind, subscription in handlers.subscriptions().items():
        about = inspect.getdoc(inspect.getmodule(subscription.model)) or ""
        router.add_api_route(
            f"/{kind}",
            _giving(kind, subscription),
            methods=["POST"],
            status_code=202,
            name=f"give_{kind.replace('-', '_')}",
            summary=about.partition("\n")[0],
            description=f"{about}\n\nTakes `{COMMANDS[kind].value}`." if kind in COMMANDS else about,
        )
    return router


def _giving(kind: str, subscription: Subscription) -> Callable[..., dict[str, Any]]:
    def give(
        here: Here,
        who: Who,
        answer: Response,
        tenant_id: TenantId,
        service_id: ServiceId,
        data: Any,
        key: Key = None,
        trace: Trace = None,
    ) -> dict[str, Any]:
        given = data.model_dump(mode="json", exclude_unset=True)
        submitted = here.submit(who, kind, Subject(tenant_id, service_id), given, _bare(key), trace)
        answer.headers["location"] = f"/api/v1/operations/{submitted.operation_id}"
        operation = here.database.ledger.get(submitted.operation_id)
        assert operation is not None  # nothing that was accepted a moment ago is forgotten
        return document(here, operation) | {"repeated": submitted.repeated}

    give.__annotations__["data"] = subscription.model
    return give


def _bare(key: str | None) -> str | None:
    """The key without the quotes that the header's draft standard puts around it."""
    quoted = key is not None and len(key) > 2 and key[0] == key[-1] == '"'
    return key[1:-1] if key is not None and quoted else key
