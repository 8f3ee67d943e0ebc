"""`/api/v1/me`, `settings` and `audit`: what belongs to the installation, and who asks.

Apart from the tenants' resources because a role in a tenant does not reach most of it. Nothing here changes anything.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from workers.cli.documents import audit_document
from workers.config import shown
from workers.web.access import EVERYWHERE, Action
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import Here, Limit, OfTenant, across
from workers.web.entry import Who

routes = APIRouter(route_class=DocumentRoute, tags=["installation"])

Text = Annotated[str | None, Query(max_length=200)]


@routes.get("/me")
def show_me(who: Who) -> dict[str, Any]:
    """Who asks, and what they may do where."""
    may = {
        place: [action.value for action in Action if who.may(action, None if place == EVERYWHERE else place)]
        for place in who.roles
    }
    return {"name": who.name, "roles": dict(who.roles), "may": may}


@routes.get("/settings")
def list_settings(here: Here, who: Who) -> dict[str, Any]:
    """The settings of the process that answers, and where each is from; secrets are masked. Takes a role everywhere."""
    who.require(Action.SETTINGS_READ, None)
    names = ("name", "value", "origin", "about")
    return {"settings": [dict(zip(names, row, strict=True)) for row in shown(here.settings)]}


@routes.get("/audit")
def list_audit(
    here: Here,
    who: Who,
    tenant: OfTenant = None,
    actor: Text = None,
    action: Text = None,
    subject: Text = None,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="`next` of the page before.")] = None,
) -> dict[str, Any]:
    """Who changed what, newest first."""
    found = across(
        who,
        Action.AUDIT_READ,
        tenant,
        lambda name: here.database.audit.list(
            tenant_id=name, actor=actor, action=action, subject=subject, limit=limit + 1, before=before
        ),
        lambda entry: entry.seq,
    )
    entries = [audit_document(entry) for entry in found[:limit]]
    return {"entries": entries, "next": entries[-1]["seq"] if len(found) > limit else None}
