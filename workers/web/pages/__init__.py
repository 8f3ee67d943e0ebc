"""The console: pages for people, rendered here; every change on them is the same command as over the API.

Apart from the API because it answers browsers. `router()` holds all pages; `failure` is the page of an error. One file
for each section of the console, `*_view` where what a page shows is worked out without a server.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from workers.web.pages import (
    assets,
    letters,
    nodes,
    operations,
    overview,
    plans,
    replaying,
    restoring,
    schedules,
    scheduling,
    services,
    settings,
    snapshots,
    tokens,
    trail,
    versions,
)
from workers.web.pages.rendering import page
from workers.web.problems import Problem

#: What a person reads above an error.
TITLES = {
    403: "You may not do that",
    404: "There is nothing here",
    405: "There is nothing here",
    409: "That is not possible as it stands",
    413: "That is too much",
    422: "Something in it is not right",
    500: "Backstay made a mistake",
    503: "Not now",
}

#: When the answer was lost, and not the form: the one that is sent by reloading still names the same command.
SEND_AGAIN = "reload this page to send the form again: what had been taken by then is not done twice"


def router() -> APIRouter:
    """All pages, and the files that they need. What has a longer path comes first: an
    address is given to the first that fits."""
    made = APIRouter(include_in_schema=False)
    for section in (
        *(assets, overview, operations, plans, services, versions, restoring, snapshots),
        *(replaying, letters, scheduling, schedules, nodes, tokens, trail, settings),
    ):
        made.include_router(section.routes())
    return made


def failure(request: Request, problem: Problem) -> Response:
    """The page that tells of an error, and what to do next; as the problem's own document, nothing of the request."""
    title = TITLES.get(problem.status) or HTTPStatus(problem.status).phrase
    next_step = problem.next_step
    if not next_step and request.method == "POST" and problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        next_step = SEND_AGAIN
    return page(
        "problem.html", problem.status, title=title, number=problem.status, code=problem.code,
        sentence=problem.detail, next_step=next_step, back=_back(request),
    )  # fmt: skip


def _back(request: Request) -> str:
    """The page of ours that they came from, else the first one: a form that was filled in is found again there."""
    came = urlsplit(request.headers.get("referer", ""))
    ours = came.netloc == request.headers.get("host") and came.path.startswith("/") and not came.path.startswith("//")
    if not ours or came.path == request.url.path:
        return "/"
    return came.path + (f"?{came.query}" if came.query else "")
