"""What is served over HTTP: health and metrics for machines, the API for programs, the console for people.

Apart from the server because this is the contract and that is sockets and threads. `/livez`, `/readyz` and `/metrics`
hold the names and findings of checks, and figures, of which some name services; never the content of a message. They
need no login: bind them to an address that only the platform reaches. Everything under `/api/v1` and every page needs
one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from domain.errors import BackstayError
from workers.health import Check, Health, run
from workers.metrics import CONTENT_TYPE
from workers.web import api, login, pages
from workers.web.access import NotAuthenticated
from workers.web.api.description import DescribedApp
from workers.web.desk import Desk
from workers.web.downloads import Downloads
from workers.web.hardening import Hardened
from workers.web.pages.again import form_again
from workers.web.pages.refilling import Fault
from workers.web.problems import Problem

#: Of what is wrong with one request, so much is told.
MOST_FAULTS = 20


def build_app(
    health: Health, render: Callable[[], bytes], downloads: Downloads | None = None, desk: Desk | None = None
) -> Hardened:
    """An ASGI application; without a desk it serves machines only. A health answer is
    `{"ok": bool, "findings": [{"name", "ok", "detail"}]}`, 200 when all is fine and 503 when not; `/metrics` is
    always 200."""
    app = DescribedApp(
        title="Backstay",
        version="1",
        summary="Snapshots of services, their restoration, upgrades and rollbacks.",
        description=api.DESCRIPTION,
        docs_url=None,  # both pages would fetch their scripts from elsewhere
        redoc_url=None,
        openapi_url=None if desk is None else "/api/v1/openapi.json",
        redirect_slashes=False,
    )

    # Plain functions: Starlette runs them in threads, so a slow database delays nobody else.
    def metrics(_request: Request) -> Response:
        return Response(render(), media_type=CONTENT_TYPE)

    app.router.routes += [
        Route("/livez", _at_once(_answer(health.live))),
        Route("/readyz", _answer(health.ready)),
        Route("/metrics", metrics),
    ]
    if downloads is not None:
        app.router.routes.append(Route("/exports/{snapshot_id}", downloads.endpoint))
    tls = False
    if desk is not None:
        app.state.desk = desk
        tls = (desk.settings.public_url or "").startswith("https://")
        app.include_router(api.router(), generate_unique_id_function=lambda route: route.name)
        app.include_router(login.router())
        app.include_router(pages.router())
    _tell_errors(app)
    return Hardened(app, tls=tls)


def _tell_errors(app: FastAPI) -> None:
    """Every error becomes a problem document, or for a browser that looks at pages, a page."""

    async def ours(request: Request, error: Exception) -> Response:
        assert isinstance(error, BackstayError)
        if isinstance(error, NotAuthenticated) and not _is_api(request) and request.method == "GET":
            return RedirectResponse(login.address(request), status_code=303)
        return await _tell(request, Problem.of(error))

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        found = error.errors()[:MOST_FAULTS]
        faults = [
            Fault("must be given" if one["type"] == "missing" else one["msg"], ".".join(map(str, one["loc"][1:])))
            for one in found
        ]
        return await _tell(request, Problem.of_faults(found), faults)

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return await _tell(request, Problem.of_status(error.status_code), more=dict(error.headers or {}))

    async def bug(request: Request, _error: Exception) -> Response:
        return await _tell(request, Problem(500, "internal-error", "Backstay made an error of its own", "see its log"))

    app.add_exception_handler(BackstayError, ours)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, framework)
    app.add_exception_handler(Exception, bug)


async def _tell(
    request: Request, problem: Problem, faults: Sequence[Fault] = (), more: dict[str, str] | None = None
) -> Response:
    if _is_api(request) or "text/html" not in request.headers.get("accept", ""):
        return problem.response(more)
    again = await form_again(request, problem, faults)
    if again is not None:
        return again
    return await run_in_threadpool(pages.failure, request, problem)


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _at_once(answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Without a thread: all of them may be waiting for a database or a store, and that is no reason to be restarted."""

    async def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def _answer(checks: Sequence[Check]) -> Callable[[Request], Response]:
    def endpoint(_request: Request) -> Response:
        fine, findings = run(checks)
        told = [{"name": found.name, "ok": found.ok, "detail": found.detail} for found in findings]
        headers = {"cache-control": "no-store"}
        return JSONResponse({"ok": fine, "findings": told}, status_code=200 if fine else 503, headers=headers)

    return endpoint
