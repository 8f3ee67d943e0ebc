"""Making and changing schedules on a page, with the times that would come, before anything is written down.

Apart from schedules.py, which shows what there is. What is sent is `set-schedule`, as by the command line; what the
worker would refuse later is looked at here already, because a person is still there to put it right.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from domain.errors import NotFound, Refused
from domain.identity import check_name
from domain.schedule import KINDS, CatchUp, Schedule
from handlers.set_schedule import MOST_JITTER_SECONDS
from workers.cli.sending import object_of
from workers.cli.spans import seconds_of
from workers.command_event import uuid7
from workers.cron import MACROS, CronCalendar
from workers.web import visible
from workers.web.access import COMMANDS, Action, Caller, action_of
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, shown
from workers.web.pages.schedules import find, following
from workers.web.pages.services import send_about

CATCH_UPS = (
    (CatchUp.ONE, "Once", "For the newest of them."),
    (CatchUp.NONE, "Not at all", "The next time is soon enough."),
    (CatchUp.ALL, "Each of them", "As many as have passed."),
)
#: What the fields hold before anybody has typed.
BLANK = {
    "tenant": "", "name": "", "kind": KINDS[0], "service": "", "cron": "", "zone": "UTC", "jitter": "0",
    "catch_up": CatchUp.ONE.value, "coalesce": True, "data": "{}",
}  # fmt: skip


def routes() -> APIRouter:
    """The two forms."""
    made = APIRouter(prefix="/schedules", include_in_schema=False)
    made.add_api_route("/new", blank, methods=["GET"])
    made.add_api_route("/new", make, methods=["POST"])
    made.add_api_route("/{tenant_id}/{name}/change", filled, methods=["GET"])
    made.add_api_route("/{tenant_id}/{name}/change", change, methods=["POST"])
    return made


def blank(request: Request, here: Here, who: Who, tenant: str = "", service: str = "") -> Response:
    """The form of a schedule that is not there yet."""
    tenants = _tenants(who)
    return _page(request, here, who, BLANK | {"tenant": tenant or (tenants or [""])[0], "service": service}, None)


def filled(request: Request, here: Here, who: Who, tenant_id: str, name: str) -> Response:
    """The form of one that is."""
    found = _changeable(here, who, tenant_id, name)
    given = {
        "tenant": tenant_id, "name": name, "kind": found.kind, "service": found.service_id, "cron": found.cron,
        "zone": found.zone, "jitter": str(found.jitter_seconds), "catch_up": found.catch_up.value,
        "coalesce": found.coalesce, "data": json.dumps(found.data, indent=1, ensure_ascii=False),
    }  # fmt: skip
    return _page(request, here, who, given, found)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the fields say, as they were typed. `look`: only the times are asked for."""

    kind: str
    cron: str
    service: str
    zone: str
    jitter: str
    catch_up: str
    coalesce: bool
    data: str
    look: bool

    def given(self, tenant: str, name: str) -> dict[str, Any]:
        """For the form again."""
        kept = {field: getattr(self, field) for field in BLANK if field not in ("tenant", "name")}
        return kept | {"tenant": tenant, "name": name}

    def command(self, here: Desk, who: Caller, tenant: str) -> dict[str, Any]:
        """For `set-schedule`; a mistake at its field for what it would be refused for, here or by a worker."""
        if self.kind not in KINDS:
            raise mistake("kind: choose what is asked for", "kind")
        if self.service and not _has(here, who, tenant, self.service):
            raise mistake(f"service: tenant {tenant} has no service {self.service[:80]}", "service")
        CronCalendar().check(self.cron, self.zone)
        jitter = seconds_of(self.jitter, "jitter")
        if jitter > MOST_JITTER_SECONDS:
            raise mistake("jitter: a day at most, or two runs of a daily schedule would meet", "jitter")
        found: dict[str, Any] = {
            "kind": self.kind, "cron": self.cron, "zone": self.zone, "catch_up": self.catch_up,
            "jitter_seconds": jitter, "coalesce": self.coalesce, "data": object_of(self.data),
        }  # fmt: skip
        return found | ({"service": self.service} if self.service else {})


def wanted(
    kind: Annotated[str, Form()] = "", cron: Annotated[str, Form()] = "", service: Annotated[str, Form()] = "",
    zone: Annotated[str, Form()] = "", jitter: Annotated[str, Form()] = "0",
    catch_up: Annotated[str, Form()] = CatchUp.ONE.value, coalesce: Annotated[bool, Form()] = False,
    data: Annotated[str, Form()] = "", look: Annotated[bool, Form()] = False,
) -> Wanted:  # fmt: skip
    """The dependency of both routes, so that both read the form alike."""
    return Wanted(
        kind, cron.strip(), service.strip(), zone.strip() or "UTC", jitter.strip() or "0", catch_up, coalesce,
        data.strip() or "{}", look,
    )  # fmt: skip


Read = Annotated[Wanted, Depends(wanted)]


def make(
    request: Request, here: Here, who: Who, read: Read, message_id: Annotated[str, Form()],
    tenant: Annotated[str, Form()] = "", name: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Make one; a name that a schedule has already is a mistake, so that none is replaced unseen."""
    tenant, name = check_name(tenant.strip(), "tenant"), name.strip()
    who.require(Action.SCHEDULES_CHANGE, tenant)
    data = read.command(here, who, tenant)
    if read.look:
        return _page(request, here, who, read.given(tenant, name), None, read)
    if here.database.schedules.get(tenant, check_name(name, "name")) is not None:
        raise mistake(
            f"name: tenant {tenant} has a schedule {name} already; change that one, or choose another", "name"
        )
    return send_about(here, who, "set-schedule", tenant, name, data, message_id)


def change(
    request: Request, here: Here, who: Who, tenant_id: str, name: str, read: Read,
    message_id: Annotated[str, Form()],
) -> Response:  # fmt: skip
    """Replace its definition; its name, its pause and what it has asked for stay."""
    found = _changeable(here, who, tenant_id, name)
    data = read.command(here, who, tenant_id)
    if read.look:
        return _page(request, here, who, read.given(tenant_id, name), found, read)
    return send_about(here, who, "set-schedule", tenant_id, name, data, message_id)


def _page(
    request: Request, here: Desk, who: Caller, given: dict[str, Any], known: Schedule | None, read: Wanted | None = None
) -> Response:
    where = known.tenant_id if known is not None else given["tenant"]
    if where or _tenants(who) is not None:
        who.require(Action.SCHEDULES_CHANGE, where)
    now = here.clock.wall_ms()
    return shown(
        request, here, who, "schedule_edit.html", section="schedules",
        title=f"Change schedule {known.name}" if known is not None else "New schedule",
        given=given, known=known, kinds=_kinds(who, where), catch_ups=CATCH_UPS, macros=sorted(MACROS),
        tenants=_tenants(who), message_id=uuid7(),
        services=[one.service_id for one in here.database.list_services(where)][:500] if where else [],
        times=following(read.cron, read.zone, now) if read is not None else [],
    )  # fmt: skip


def _changeable(here: Desk, who: Caller, tenant_id: str, name: str) -> Schedule:
    """The schedule, for whoever may make one of its kind: to others the form would offer another kind instead."""
    found = find(here, who, tenant_id, name)
    who.require(action_of("set-schedule", {"kind": found.kind}), tenant_id)
    if found.kind not in KINDS:
        raise Refused(
            f"schedule {name} asks for {found.kind}, which this release does not know",
            code="unknown-type",
            next_step="change it where the later release runs",
        )
    return found


def _tenants(who: Caller) -> list[str] | None:
    """Whose schedules they may change; None: everybody's."""
    return who.tenants(Action.SCHEDULES_CHANGE)


def _kinds(who: Caller, tenant: str) -> list[str]:
    """What may be asked for by whoever fills the form in; without a tenant yet, what somebody everywhere may."""
    return [kind for kind in KINDS if who.may(COMMANDS[kind], tenant or None)]


def _has(here: Desk, who: Caller, tenant: str, service_id: str) -> bool:
    try:
        return visible.service(here, who, service_id).tenant_id == tenant
    except NotFound:
        return False
