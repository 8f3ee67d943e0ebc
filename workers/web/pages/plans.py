"""Upgrades and rollbacks on pages: first the plan, item by item, and beneath it the form that carries it out.

Apart from services because the plan comes from the functions that the worker runs: what is shown is what would happen
if nothing changed in between. The options of a plan go with it, so that what is sent is what was looked at.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from domain.course import Course
from domain.errors import Refused
from domain.rolling_back import Retreat, rollback_course
from domain.upgrading import Wish, configuration_of, upgrade_course
from workers.command_event import uuid7
from workers.planning import course_document, planning_context
from workers.web import visible
from workers.web.access import Action
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, shown
from workers.web.pages.services import FEW, send


def routes() -> APIRouter:
    """The pages of plans."""
    made = APIRouter(prefix="/services/{service_id}", include_in_schema=False)
    made.add_api_route("/upgrade", preview_upgrade, methods=["GET"])
    made.add_api_route("/upgrade", upgrade, methods=["POST"])
    made.add_api_route("/rollback", preview_rollback, methods=["GET"])
    made.add_api_route("/rollback", rollback, methods=["POST"])
    return made


def preview_upgrade(
    request: Request, here: Here, who: Who, service_id: str, version: str, group: bool = False,
    include_data: bool = False, delete: bool = False, strict: bool = False,
) -> Response:  # fmt: skip
    """What an upgrade would change."""
    service = visible.service(here, who, service_id)
    who.require(Action.VERSIONS_READ, service.tenant_id)
    held = _held(here, service_id, version)
    wish = Wish(version=version, group=group, include_data=include_data, delete=delete, strict=strict, ignore_hold=True)
    document, refused = _planned(here, service_id, held, wish)
    given = {"version": version, "group": group, "include_data": include_data, "delete": delete, "strict": strict}
    return shown(
        request, here, who, "plan.html", section="services", title=f"Upgrade {service_id} to {version}",
        service=service, purpose="upgrade", plan=document, refused=refused, given=given, message_id=uuid7(),
        allowed=who.may(Action.SERVICES_UPGRADE, service.tenant_id), targets=[], heading=f"Upgrade to {version}",
        options=_UPGRADE_OPTIONS,
    )  # fmt: skip


def preview_rollback(
    request: Request, here: Here, who: Who, service_id: str, upgrade: str = "", data: bool = False,
    hold: bool | None = None, asked: bool = False,
) -> Response:  # fmt: skip
    """What a rollback would change; of the last upgrade unless one is named. `asked`: the switches were set by hand, so
    one that is missing is off."""
    hold = hold if hold is not None else not asked
    service = visible.service(here, who, service_id)
    document, refused = _planned(here, service_id, None, Retreat(upgrade=upgrade or None, data=data, hold=hold))
    return shown(
        request, here, who, "plan.html", section="services", title=f"Roll back {service_id}", service=service,
        purpose="rollback", plan=document, refused=refused, message_id=uuid7(), heading="Roll back",
        given={"upgrade": upgrade, "data": data, "hold": hold}, options=_ROLLBACK_OPTIONS,
        allowed=who.may(Action.SERVICES_ROLLBACK, service.tenant_id), targets=_targets(here, service_id, data),
    )  # fmt: skip


def upgrade(
    here: Here, who: Who, service_id: str, message_id: Annotated[str, Form()], version: Annotated[str, Form()],
    group: Annotated[bool, Form()] = False, include_data: Annotated[bool, Form()] = False,
    delete: Annotated[bool, Form()] = False, strict: Annotated[bool, Form()] = False,
    ignore_hold: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Carry the plan out."""
    switches = {"group": group, "include_data": include_data, "delete": delete, "strict": strict}
    chosen = {name: True for name, on in (switches | {"ignore_hold": ignore_hold}).items() if on}
    return send(
        here, who, "upgrade-service", visible.service(here, who, service_id), {"version": version} | chosen, message_id
    )


def rollback(
    here: Here, who: Who, service_id: str, message_id: Annotated[str, Form()], upgrade: Annotated[str, Form()] = "",
    data: Annotated[bool, Form()] = False, hold: Annotated[bool, Form()] = False, reason: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Carry it out."""
    given: dict[str, Any] = {"data": data, "hold": hold}
    given |= {name: value for name, value in (("upgrade", upgrade), ("reason", reason.strip())) if value}
    return send(here, who, "rollback", visible.service(here, who, service_id), given, message_id)


#: (name, what it is called, what it means) of the switches of each form.
_UPGRADE_OPTIONS = (
    ("include_data", "Protect the data too", "The snapshot before the upgrade holds the directory as well, so that a "
     "rollback can bring it back."),
    ("group", "All services of its group", "All of them, or none."),
    ("delete", "Relations may be removed", "Those that the new version does not have any more."),
    ("strict", "Turn back at the first refusal", "Otherwise what the region refuses with 400 is left out and named."),
)  # fmt: skip
_ROLLBACK_OPTIONS = (
    ("data", "Bring the data back as well", "What was written since the upgrade is kept in a safety snapshot only."),
    ("hold", "Hold the version that is left", "It is not installed again until somebody releases it."),
)


def _planned(here: Desk, service_id: str, held: str | None, wish: Wish | Retreat) -> tuple[dict[str, Any], str]:
    """The plan as a document, or why there is none."""
    try:
        context = planning_context(here.system, service_id)
        course: Course = upgrade_course(context, wish) if isinstance(wish, Wish) else rollback_course(context, wish)
        document = course_document(here.system, course, held)
    except Refused as error:
        return {}, f"{error}" + (f"; {error.next_step}" if error.next_step else "")
    return document | {"idle": course.is_idle()}, ""


def _held(here: Desk, service_id: str, version: str) -> str | None:
    service = here.database.services.get(service_id)
    if service is None or not service.document:
        return None
    key = str(configuration_of(service).origin.get("group_key") or "")
    found = {(group, held): reason for group, held, reason in here.database.records.held(service_id)}
    return found.get((key, version))


def _targets(here: Desk, service_id: str, data: bool) -> list[dict[str, str]]:
    """Upgrades that may be undone, for the choice above the plan."""
    return [
        {
            "op_id": record.op_id,
            "text": f"{record.old_version or 'an unnamed version'} → {record.new_version}",
            "href": f"?{urlencode({'upgrade': record.op_id, 'data': str(data).lower()})}",
        }
        for record in visible.changes(here, service_id)[:FEW]
        if record.kind == "upgrade" and record.status.value == "UPGRADED" and record.snapshot_id
    ]
