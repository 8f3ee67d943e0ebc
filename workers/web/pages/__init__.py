"""The console: pages for people, rendered here; every change on them is the same command as over the API.

Apart from the API because it answers browsers. `router()` holds all pages; `failure` is the page of an error.
"""

from __future__ import annotations

from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from workers.web.problems import Problem


def router() -> APIRouter:
    """All pages. They take `who: Who` from `workers.web.entry` and `here: Annotated[Desk, Depends(desk)]`."""
    return APIRouter(include_in_schema=False)


def failure(_request: Request, problem: Problem) -> Response:
    """The page that tells of an error."""
    text = f"<!doctype html><title>{escape(problem.code)}</title><p>{escape(problem.detail)}</p>"
    return HTMLResponse(text, status_code=problem.status)
