"""`/api/v1/schedules`, `recovery-points` and `drills`: what is asked for by itself, and what that is worth.

Apart from the commands that change schedules and run drills, which are given as any other. Schedules and recovery
points are few, so these lists are not cut into pages.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from domain.errors import NotFound
from workers.cli import drills
from workers.cli.documents import recovery_document
from workers.cli.schedules import document, firing_document
from workers.web.access import Action
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import NAME, Here, Limit, OfTenant, TenantId, across
from workers.web.entry import Who

routes = APIRouter(route_class=DocumentRoute, tags=["schedules"])

Name = Annotated[str, Path(pattern=NAME)]
OfService = Annotated[str | None, Query(pattern=NAME)]


@routes.get("/schedules")
def list_schedules(here: Here, who: Who, tenant: OfTenant = None, service: OfService = None) -> dict[str, Any]:
    """Schedules with their next times."""
    find = here.database.schedules.list
    found = across(who, Action.SCHEDULES_READ, tenant, lambda name: find(name, service), lambda one: one.tenant_id)
    shown = [document(one) for one in sorted(found, key=lambda one: (one.tenant_id, one.name))]
    return {"schedules": shown, "next": None}


@routes.get("/tenants/{tenant_id}/schedules/{name}/history")
def show_schedule_history(here: Here, who: Who, tenant_id: TenantId, name: Name, limit: Limit = 50) -> dict[str, Any]:
    """What became of the newest nominal times: asked for, joined to what waited already, or skipped and why."""
    who.require(Action.SCHEDULES_READ, tenant_id)
    if here.database.schedules.get(tenant_id, name) is None:
        raise NotFound(
            f"there is no schedule {name}",
            code="unknown-schedule",
            next_step="GET /api/v1/schedules shows what there is",
        )
    found = here.database.schedules.history(tenant_id, name, limit)
    return {"history": [firing_document(one) for one in found], "next": None}


@routes.get("/recovery-points")
def list_recovery_points(here: Here, who: Who, tenant: OfTenant = None, missed: bool = False) -> dict[str, Any]:
    """How much of each service would be lost now: those that miss their goals first, then by age."""
    found = across(
        who, Action.SERVICES_READ, tenant, here.database.recovery_points.list, lambda point: point.service_id
    )
    wanted = [one for one in found if one.missed or not missed]
    wanted.sort(key=lambda one: (not one.missed, one.newest_at, one.service_id))
    shown = [{"service_id": one.service_id, "tenant_id": one.tenant_id} | recovery_document(one) for one in wanted]
    return {"services": shown, "next": None}


@routes.get("/drills")
def list_drills(
    here: Here, who: Who, tenant: OfTenant = None, service: OfService = None, limit: Limit = 50
) -> dict[str, Any]:
    """Restores to a scratch place and how long they took, newest first."""
    find = here.database.drills.list
    found = across(
        who, Action.SNAPSHOTS_READ, tenant, lambda name: find(name, service, limit), lambda one: one.ended_at
    )
    return {"drills": [drills.document(one) for one in found[:limit]], "next": None}
