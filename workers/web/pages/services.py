"""Services on pages: what is installed, how old the last snapshot is, what has happened, what could be installed next.

Apart from snapshots because an upgrade is about a service. Of a configuration nothing is shown but which version it is
of; what an upgrade would change is shown by its plan, with every value masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from domain.identity import Subject
from domain.recovery_point import RecoveryPoint
from domain.service import Service
from domain.upgrading import configuration_of
from workers.command_event import uuid7
from workers.web import visible
from workers.web.access import Action, Caller
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, scope, shown
from workers.web.pages.operation_view import ENDED, row
from workers.web.pages.wording import span

PAGE = 50
#: How much of each list a service's page shows.
FEW = 10


@dataclass(frozen=True, slots=True)
class Goal:
    """How the age of the newest snapshot stands beside what was asked for."""

    word: str
    tone: str
    sign: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list."""

    service: Service
    version: str
    saved_at: int  # when its newest good snapshot was begun; 0: there is none
    goal: Goal | None


def routes() -> APIRouter:
    """The pages about services."""
    made = APIRouter(prefix="/services", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("/{service_id}", one, methods=["GET"])
    made.add_api_route("/{service_id}/snapshot", snapshot, methods=["POST"])
    return made


def listed(request: Request, here: Here, who: Who, tenant: str = "", q: str = "", after: str = "") -> Response:
    """The list, a page of it, by id."""
    chosen = scope(who, Action.SERVICES_READ, tenant)
    found = [
        one
        for one in here.database.list_services(chosen)
        if one.service_id > after and (not q or q.lower() in f"{one.service_id} {one.alias} {one.node}".lower())
    ]
    kept = [(name, value) for name, value in (("tenant", tenant), ("q", q)) if value]
    more = found[PAGE - 1].service_id if len(found) > PAGE else ""
    return shown(
        request, here, who, "services.html", section="services", title="Services", tenant=chosen, q=q,
        filtered=bool(kept), rows=_rows(here, found[:PAGE]),
        older=f"?{urlencode([*kept, ('after', more)])}" if more else "",
        newest=f"/services?{urlencode(kept)}" if after else "",
    )  # fmt: skip


def one(request: Request, here: Here, who: Who, service_id: str) -> Response:
    """One service, with everything that belongs to it."""
    service = visible.service(here, who, service_id)
    database = here.database
    operations = database.list_operations(tenant_id=service.tenant_id, service_id=service_id, limit=FEW)
    snapshots = database.catalogue.find(service.tenant_id, [service_id], (), FEW, None)
    origin = configuration_of(service).origin if service.document else {}
    version, key = str(origin.get("version") or ""), str(origin.get("group_key") or "")
    held = {(group, held): reason for group, held, reason in database.records.held(service_id)}
    point = next(iter(database.recovery_points.list(service.tenant_id, service_id)), None)
    return shown(
        request, here, who, "service.html", section="services", title=f"Service {service_id}", service=service,
        version=version, saved_at=point.newest_at if point else 0, goal=goal_of(point), snapshots=snapshots,
        operations=[row(each, "" if each.state in ENDED else database.waits_for(each)) for each in operations],
        versions=_versions(here, service, key, version, held),
        history=visible.changes(here, service_id)[:FEW], message_id=uuid7(), retention=service.retention,
        may={
            "snapshot": who.may(Action.SNAPSHOTS_CREATE, service.tenant_id),
            "upgrade": who.may(Action.SERVICES_UPGRADE, service.tenant_id),
            "rollback": who.may(Action.SERVICES_ROLLBACK, service.tenant_id),
        },
    )  # fmt: skip


def snapshot(
    here: Here, who: Who, service_id: str, message_id: Annotated[str, Form()], labels: Annotated[str, Form()] = ""
) -> Response:
    """Take a snapshot of it now."""
    service = visible.service(here, who, service_id)
    wanted = [line.strip() for line in labels.splitlines() if line.strip()]
    data: dict[str, Any] = {"labels": wanted} if wanted else {}
    return send(here, who, "create-snapshot", service, data, message_id)


def send(here: Desk, who: Caller, kind: str, service: Service, data: dict[str, Any], message_id: str) -> Response:
    """Give a command about a service, and go where it can be followed. The form's id is the message's: a form that is
    sent twice is one command."""
    return send_about(here, who, kind, service.tenant_id, service.service_id, data, message_id)


def send_about(
    here: Desk, who: Caller, kind: str, tenant_id: str, service_id: str, data: dict[str, Any], message_id: str
) -> Response:
    """The same for a service that may not be registered any more."""
    done = here.submit(who, kind, Subject(tenant_id, service_id), data, message_id)
    told = "again" if done.repeated else "sent"
    return RedirectResponse(f"/operations/{done.operation_id}?told={told}", status_code=303)


def goal_of(point: RecoveryPoint | None) -> Goal | None:
    """How a service stands beside its goal; None when nobody has set one."""
    if point is None or not point.goal_seconds:
        return None
    wanted = f"the goal is {span(point.goal_seconds * 1000)}"
    if point.missed:
        return Goal("goal missed", "bad", "!", f"{wanted}, and it is missed")
    return Goal("within its goal", "ok", "✓", f"{wanted}, and it is met")


def _rows(here: Desk, services: list[Service]) -> list[Row]:
    names = [each.service_id for each in services]
    points = {(one.tenant_id, one.service_id): one for one in here.database.recovery_points.of(names)}
    rows = []
    for service in services:
        whole = here.database.services.get(service.service_id)  # lists come without documents
        origin = configuration_of(whole).origin if whole is not None and whole.document else {}
        point = points.get((service.tenant_id, service.service_id))
        rows.append(Row(service, str(origin.get("version") or ""), point.newest_at if point else 0, goal_of(point)))
    return rows


def _versions(
    here: Desk, service: Service, key: str, installed: str, held: dict[tuple[str, str], str]
) -> list[dict[str, Any]]:
    if not key:
        return []
    return [
        {
            "version": version,
            "owner": owner,
            "at": at,
            "installed": version == installed,
            "held": held.get((group, version)),
            "href": f"/services/{quote(service.service_id)}/upgrade?{urlencode({'version': version})}",
        }
        for owner, group, version, at in here.database.versions.list(service.tenant_id, key)[:FEW]
    ]
