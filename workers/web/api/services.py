"""`/api/v1/services` and `/api/v1/versions`: what is deployed, what it was, and what an upgrade would make of it.

Apart from snapshots because a service exists before its first one. Plans come from the functions that the worker runs;
a configuration is shown nowhere, and the values in a plan are masked.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from domain.errors import Refused
from domain.retaining import decisions
from domain.retention import Policy
from domain.rolling_back import Retreat, rollback_course
from domain.upgrade_record import Status, UpgradeRecord
from domain.upgrading import Wish, upgrade_course
from workers.cli.documents import moment, page, retention_document, service_document, snapshot_document
from workers.planning import course_document, planning_context
from workers.web import visible
from workers.web.access import Action
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import ID, NAME, After, Before, Here, Limit, OfTenant, ServiceId
from workers.web.entry import Who

routes = APIRouter(route_class=DocumentRoute, tags=["services"])

Text = Annotated[str | None, Query(max_length=200)]


@routes.get("/services")
def list_services(
    here: Here,
    who: Who,
    tenant: OfTenant = None,
    limit: Limit = 50,
    after: After = None,
) -> dict[str, Any]:
    """Services by id."""
    if tenant is not None:
        who.require(Action.SERVICES_READ, tenant)
    tenants = who.tenants(Action.SERVICES_READ) if tenant is None else [tenant]
    found = here.database.services.page(tenants, limit + 1, after)
    points = {one.service_id: one for one in here.database.recovery_points.of([each.service_id for each in found])}
    shown = [service_document(service, points.get(service.service_id)) for service in found[:limit]]
    return {"services": shown, "next": shown[-1]["service_id"] if len(found) > limit else None}


@routes.get("/services/{service_id}")
def show_service(here: Here, who: Who, service_id: ServiceId) -> dict[str, Any]:
    """One service, its version, its newest snapshot and its retention policy."""
    service = visible.service(here, who, service_id)
    newest = here.database.catalogue.newest(service_id)
    standing = [r for r in visible.changes(here, service_id) if r.status in (Status.UPGRADED, Status.ROLLBACK)]
    points = here.database.recovery_points.list(service_id=service_id)
    return service_document(service, points[0] if points else None) | {
        "has_configuration": bool(service.document),
        "version": (standing[0].new_version or None) if standing else None,
        "newest_snapshot": snapshot_document(newest) if newest else None,
        "retention": service.retention or None,
    }


@routes.get("/services/{service_id}/history")
def show_history(
    here: Here, who: Who, service_id: ServiceId, limit: Limit = 50, before: Before = None
) -> dict[str, Any]:
    """Upgrades and rollbacks of a service, newest first."""
    visible.service(here, who, service_id)
    found = here.database.records.changes(service_id, limit + 1, before)
    return page("changes", [_change_document(record) for record in found], limit, "operation_id")


@routes.get("/services/{service_id}/plans/upgrade")
def plan_upgrade(
    here: Here,
    who: Who,
    service_id: ServiceId,
    version: Annotated[str, Query(min_length=1, max_length=200)],
    group_key: Text = None,
    group: bool = False,
    delete: bool = False,
) -> dict[str, Any]:
    """What upgrade-service would do, item by item."""
    visible.service(here, who, service_id)
    context = planning_context(here.system, service_id)
    wish = Wish(version=version, group_key=group_key, group=group, delete=delete, ignore_hold=True)
    held = [reason for _, name, reason in context.records.held(service_id) if name == version]
    why = (held[0] or "it was rolled back") if held else None
    return course_document(here.system, upgrade_course(context, wish), why)


@routes.get("/services/{service_id}/plans/rollback")
def plan_rollback(
    here: Here,
    who: Who,
    service_id: ServiceId,
    upgrade: Annotated[str | None, Query(pattern=ID)] = None,
    snapshot: Annotated[str | None, Query(pattern=ID)] = None,
    data: bool = False,
) -> dict[str, Any]:
    """What rollback would do, item by item: of the last upgrade, of the one that is named, or to a snapshot."""
    visible.service(here, who, service_id)
    if upgrade is not None and snapshot is not None:
        raise Refused("name an upgrade or a snapshot, not both", code="usage", next_step="leave one of the two out")
    retreat = Retreat(upgrade=upgrade, snapshot_id=snapshot, data=data)
    return course_document(here.system, rollback_course(planning_context(here.system, service_id), retreat), None)


@routes.get("/services/{service_id}/plans/retention")
def plan_retention(here: Here, who: Who, service_id: ServiceId) -> dict[str, Any]:
    """What applying the retention policy now would delete, and what keeps each of the others."""
    service = visible.service(here, who, service_id)
    if not service.retention:
        raise Refused(
            f"service {service_id} has no retention policy, so everything is kept",
            code="no-policy",
            next_step="the command set-retention gives it one",
        )
    found = decisions(planning_context(here.system, service_id), service, Policy.load(service.retention))
    return retention_document(service, found)


@routes.get("/versions")
def list_versions(
    here: Here, who: Who, tenant: Annotated[str, Query(pattern=NAME)], group_key: Text = None
) -> dict[str, Any]:
    """Versions that a tenant can see: its own and the public ones, newest first."""
    who.require(Action.VERSIONS_READ, tenant)
    found = here.database.versions.list(tenant, group_key)
    documents = [
        {"tenant_id": owner, "group_key": key, "version": version, "updated_at": moment(updated)}
        for owner, key, version, updated in found
    ]
    return {"versions": documents, "next": None}


def _change_document(record: UpgradeRecord) -> dict[str, Any]:
    return {
        "operation_id": record.op_id,
        "kind": record.kind,
        "status": record.status.value,
        "group_key": record.group_key,
        "old_version": record.old_version,
        "new_version": record.new_version,
        "action": record.action,
        "snapshot_id": record.snapshot_id,
        "parent_id": record.parent_id,
        "reason": record.reason,
    }
