"""Published versions on a page, and publishing one: `publish-version`, as by the command line or by message.

Apart from the services because a version belongs to an application, not to one installation of it. What was published
is not shown again: a template may hold values that are secret.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from domain.identity import check_name
from workers.cli.sending import object_of
from workers.command_event import uuid7
from workers.web.access import Action
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, scope, shown
from workers.web.pages.services import send_about

#: Whose versions everybody sees; shown to whoever has not said which tenant.
PUBLIC = "public"
#: The newest that are shown.
MOST = 200


def routes() -> APIRouter:
    """The page and its form."""
    made = APIRouter(prefix="/versions", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("", publish, methods=["POST"])
    return made


def listed(request: Request, here: Here, who: Who, tenant: str = "", group: str = "") -> Response:
    """What a tenant's services can be upgraded to: its own versions and the public ones, newest first."""
    chosen = scope(who, Action.VERSIONS_READ, tenant) or PUBLIC
    found = here.database.versions.list(chosen, group or None)
    return shown(
        request, here, who, "versions.html", section="versions", title="Versions", tenant=chosen, group=group,
        versions=found[:MOST], more=max(0, len(found) - MOST), message_id=uuid7(),
        owners=who.tenants(Action.VERSIONS_PUBLISH),
    )  # fmt: skip


def publish(
    here: Here, who: Who, message_id: Annotated[str, Form()], owner: Annotated[str, Form()] = "",
    group_key: Annotated[str, Form()] = "", version: Annotated[str, Form()] = "", template: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Make a version known; a key or a version that is not given is the template's own."""
    tenant = check_name(owner.strip(), "owner")
    who.require(Action.VERSIONS_PUBLISH, tenant)
    if not template.strip():
        raise mistake("template: must be given", "template")
    found = object_of(template, "template")
    data = {
        "group_key": group_key.strip() or _own(found, "group_key", "group_key"),
        "version": version.strip() or _own(found, "group_version", "version"),
        "template": found,
    }
    return send_about(here, who, "publish-version", tenant, "versions", data, message_id)


def _own(template: dict[str, object], name: str, field: str) -> str:
    if not template.get(name):
        raise mistake(f"{field}: the template names no {name}, so it must be given", field)
    return str(template[name])
