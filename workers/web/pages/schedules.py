"""Schedules on pages: what is asked for by itself, when next, what became of the last times; pausing and going on.

Apart from services because a schedule may be about all services of a tenant. Making and changing one takes a file or a
command; what an operator wants at night is to stop one for a while, and to see that it goes on again.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from domain.errors import NotFound
from domain.schedule import Schedule
from workers.command_event import uuid7
from workers.web.access import Action, Caller
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, scope, shown
from workers.web.pages.services import send_about

#: Last times of a schedule that its page shows.
FEW = 30


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
        filtered=bool(tenant), schedules=here.database.schedules.list(chosen), drills=here.database.drills.list(chosen),
    )  # fmt: skip


def one(request: Request, here: Here, who: Who, tenant_id: str, name: str) -> Response:
    """One, with its last times."""
    found = _find(here, who, tenant_id, name)
    return shown(
        request, here, who, "schedule.html", section="schedules", title=f"Schedule {name}", schedule=found,
        history=here.database.schedules.history(tenant_id, name, FEW), message_id=uuid7(),
        paused=found.paused(here.clock.wall_ms()), may_change=who.may(Action.SCHEDULES_CHANGE, tenant_id),
    )  # fmt: skip


def change(
    here: Here, who: Who, tenant_id: str, name: str, verb: str, message_id: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "", until: Annotated[str, Form()] = "",
    skip_missed: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Pause it, with a reason and perhaps an end, or let it go on."""
    _find(here, who, tenant_id, name)
    if verb not in ("pause", "resume"):
        raise NotFound("a schedule can be paused or resumed", code="no-such-page")
    data: dict[str, Any] = {"paused": False, "skip_missed": True} if skip_missed else {"paused": False}
    if verb == "pause":
        data = {"reason": reason.strip()} | ({"until": f"{until}:00Z"} if until else {})
    return send_about(here, who, "pause-schedule", tenant_id, name, data, message_id)


def _find(here: Desk, who: Caller, tenant_id: str, name: str) -> Schedule:
    found = here.database.schedules.get(tenant_id, name) if who.may(Action.SCHEDULES_READ, tenant_id) else None
    if found is None:
        raise NotFound(
            f"there is no schedule {name[:80]}, or not in a tenant that you may look at",
            code="unknown-schedule",
            next_step="the list of schedules shows those that there are",
        )
    return found
