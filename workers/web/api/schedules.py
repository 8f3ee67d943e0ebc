"""`/api/v1/schedules`, `recovery-points` and `drills`: what is asked for by itself, and what that is worth.

Apart from the commands that change schedules and run drills, which are given as any other. What has no id of its own
is found again by its key, as `next` has it.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from domain.errors import NotFound
from workers.cli import drills
from workers.cli.documents import page, recovery_document
from workers.cli.schedules import document, firing_document
from workers.web.access import Action
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import NAME, After, Before, Here, Limit, OfTenant, TenantId, across
from workers.web.entry import Who

routes = APIRouter(route_class=DocumentRoute, tags=["schedules"])

Name = Annotated[str, Path(pattern=NAME)]
#: A name without the marks of a pattern, and what `next` is for.
BARE = NAME.strip("^$")
BEHIND = "Go on behind this: `next` of the page before."
OfService = Annotated[str | None, Query(pattern=NAME)]


@routes.get("/schedules")
def list_schedules(
    here: Here,
    who: Who,
    tenant: OfTenant = None,
    service: OfService = None,
    limit: Limit = 50,
    after: Annotated[str | None, Query(pattern=f"^{BARE}/{BARE}$", description=BEHIND)] = None,
) -> dict[str, Any]:
    """Schedules with their next times, by tenant and name."""
    if tenant is not None:
        who.require(Action.SCHEDULES_READ, tenant)
    tenants = who.tenants(Action.SCHEDULES_READ) if tenant is None else [tenant]
    owner, _, name = (after or "").partition("/")
    found = here.database.schedules.page(tenants, service, limit + 1, (owner, name) if after else None)
    last = found[limit - 1] if len(found) > limit else None
    return {
        "schedules": [document(one) for one in found[:limit]],
        "next": None if last is None else f"{last.tenant_id}/{last.name}",
    }


@routes.get("/tenants/{tenant_id}/schedules/{name}/history")
def show_schedule_history(
    here: Here,
    who: Who,
    tenant_id: TenantId,
    name: Name,
    limit: Limit = 50,
    before: Annotated[str | None, Query(pattern=f"^[0-9]{{1,16}}/{BARE}/{BARE}$", description=BEHIND)] = None,
) -> dict[str, Any]:
    """What became of the newest nominal times: asked for, joined to what waited already, or skipped and why."""
    who.require(Action.SCHEDULES_READ, tenant_id)
    if here.database.schedules.get(tenant_id, name) is None:
        raise NotFound(
            f"there is no schedule {name}",
            code="unknown-schedule",
            next_step="GET /api/v1/schedules shows what there is",
        )
    at, _, behind = (before or "").partition("/")
    service, _, schedule_id = behind.partition("/")
    found = here.database.schedules.history(
        tenant_id, name, limit + 1, (int(at), service, schedule_id) if before else None
    )
    last = found[limit - 1] if len(found) > limit else None
    return {
        "history": [firing_document(one) for one in found[:limit]],
        "next": None if last is None else f"{last.nominal_at}/{last.service_id}/{last.schedule_id}",
    }


@routes.get("/recovery-points")
def list_recovery_points(
    here: Here, who: Who, tenant: OfTenant = None, missed: bool = False, limit: Limit = 50, after: After = None
) -> dict[str, Any]:
    """How much of each service would be lost now, by service id; with `missed` of those that miss their goals."""
    if tenant is not None:
        who.require(Action.SERVICES_READ, tenant)
    tenants = who.tenants(Action.SERVICES_READ) if tenant is None else [tenant]
    found = here.database.recovery_points.page(tenants, limit + 1, after, missed=missed)
    shown = [{"service_id": one.service_id, "tenant_id": one.tenant_id} | recovery_document(one) for one in found]
    return page("services", shown, limit, "service_id")


@routes.get("/drills")
def list_drills(
    here: Here,
    who: Who,
    tenant: OfTenant = None,
    service: OfService = None,
    limit: Limit = 50,
    before: Before = None,
) -> dict[str, Any]:
    """Restores to a scratch place and how long they took, newest first."""
    find = here.database.drills.list
    found = across(
        who,
        Action.SNAPSHOTS_READ,
        tenant,
        lambda name: find(name, service, limit + 1, before),
        lambda one: (one.ended_at, one.op_id),
    )
    return page("drills", [drills.document(one) for one in found[: limit + 1]], limit, "operation_id")
