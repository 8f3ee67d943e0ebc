"""The settings of this process on a page, each with its origin; read only, with everything secret masked.

Apart from nodes because these are of the process that serves the page: a worker elsewhere may have others, and says so
itself.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from workers.bootstrap import version
from workers.config import shown as shown_settings
from workers.web.access import Action
from workers.web.entry import Who
from workers.web.pages.frame import Here, shown


def routes() -> APIRouter:
    """The one page."""
    made = APIRouter(prefix="/settings", include_in_schema=False)
    made.add_api_route("", settings, methods=["GET"])
    return made


def settings(request: Request, here: Here, who: Who) -> Response:
    """The page."""
    who.require(Action.SETTINGS_READ, None)
    rows = [
        {"name": name, "value": value, "origin": origin, "about": about, "set": origin != "default"}
        for name, value, origin, about in shown_settings(here.settings)
    ]
    return shown(
        request, here, who, "settings.html", section="settings", title="Settings", rows=rows, version=version(),
        node=here.settings.node,
    )  # fmt: skip
