"""Schedules on pages: what is asked for by itself, when next, what became of the last times; pausing and going on.

Apart from services because a schedule may be about all services of a tenant. Making and changing one is a
form of its own; what an operator wants at night is to stop one for a while, and to see that it goes on again.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from domain.errors import NotFound
from domain.schedule import KINDS, Schedule
from workers.command_event import uuid7
from workers.cron import CronCalendar
from workers.web.access import Action, Caller, action_of
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, scope, shown
from workers.web.pages.services import send_about

#: Last times of a schedule that its page shows.
FEW = 30
#: Next times that are foretold.
FORETOLD = 5


def routes() -> APIRouter:
    """The pages about schedules."""
    made = APIRouter(prefix="/schedules", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("/{tenant_id}/{name}", one, methods=["GET"])
    made.add_api_route("/{tenant_id}/{name}/{verb}", change, methods=["POST"])
    return made


def listed(request: Request, here: Here, who: Who, tenant: str = "") -> Response:
    """All of them."""
    chosen = scope(who, Action.SCHEDULES_READ, tenant)
    return shown(
        request, here, who, "schedules.html", section="schedules", title="Schedules", tenant=chosen,
        may_make=who.tenants(Action.SCHEDULES_CHANGE) != [], filtered=bool(tenant),
        schedules=here.database.schedules.list(chosen), drills=here.database.drills.list(chosen),
    )  # fmt: skip


def one(request: Request, here: Here, who: Who, tenant_id: str, name: str) -> Response:
    """One, with its last times."""
    found = find(here, who, tenant_id, name)
    return shown(
        request, here, who, "schedule.html", section="schedules", title=f"Schedule {name}", schedule=found,
        history=here.database.schedules.history(tenant_id, name, FEW), message_id=uuid7(),
        paused=found.paused(here.clock.wall_ms()),
        times=following(found.cron, found.zone, found.next_at - 1) if found.next_at else [],
        may_change=who.may(Action.SCHEDULES_CHANGE, tenant_id),
        may_replace=found.kind in KINDS and who.may(action_of("set-schedule", {"kind": found.kind}), tenant_id),
    )  # fmt: skip


def following(cron: str, zone: str, at: int) -> list[int]:
    """The next times after that one."""
    calendar = CronCalendar()
    times: list[int] = []
    while len(times) < FORETOLD and (at := calendar.after(cron, zone, at)):
        times.append(at)
    return times


def change(
    here: Here, who: Who, tenant_id: str, name: str, verb: str, message_id: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "", until: Annotated[str, Form()] = "", typed: Annotated[str, Form()] = "",
    skip_missed: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Pause it, with a reason and perhaps an end, let it go on, or remove it."""
    find(here, who, tenant_id, name)
    who.require(Action.SCHEDULES_CHANGE, tenant_id)
    if verb not in ("pause", "resume", "remove"):
        raise NotFound("a schedule can be paused, resumed or removed", code="no-such-page")
    if verb == "remove":
        if typed.strip() != name:
            raise mistake("to remove a schedule, type its name", "typed")
        return send_about(here, who, "remove-schedule", tenant_id, name, {"reason": reason.strip()}, message_id)
    data: dict[str, Any] = {"paused": False, "skip_missed": True} if skip_missed else {"paused": False}
    if verb == "pause":
        if not reason.strip():
            raise mistake("reason: say why, for whoever finds that nothing happens", "reason")
        data = {"reason": reason.strip()} | ({"until": _moment(here, until)} if until else {})
    return send_about(here, who, "pause-schedule", tenant_id, name, data, message_id)


def _moment(here: Desk, until: str) -> str:
    """What a browser's field for a time says, in UTC; it must be yet to come."""
    try:
        at = datetime.fromisoformat(until).replace(tzinfo=UTC)
    except ValueError:
        raise mistake("until: must be a date and a time, as 2026-11-23T06:00", "until") from None
    if at.timestamp() * 1000 <= here.clock.wall_ms():
        raise mistake("until: that has passed already; times here are in UTC", "until")
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def find(here: Desk, who: Caller, tenant_id: str, name: str) -> Schedule:
    """The schedule; NotFound."""
    found = here.database.schedules.get(tenant_id, name) if who.may(Action.SCHEDULES_READ, tenant_id) else None
    if found is None:
        raise NotFound(
            f"there is no schedule {name[:80]}, or not in a tenant that you may look at",
            code="unknown-schedule",
            next_step="the list of schedules shows those that there are",
        )
    return found
