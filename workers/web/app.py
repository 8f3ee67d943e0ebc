"""What is served over HTTP: `/livez`, `/readyz`, `/metrics`, and archives to holders of a signed address.

Apart from the server because this is the contract and that is sockets and threads. Answers about health hold the
names and findings of checks and figures, never an id or the content of a message, so they need no login; bind
them to an address that only the platform reaches all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workers.health import Check, Health, run
from workers.metrics import CONTENT_TYPE
from workers.web.downloads import Downloads


def build_app(health: Health, render: Callable[[], bytes], downloads: Downloads | None = None) -> Starlette:
    """An ASGI application. A health answer is `{"ok": bool, "findings": [{"name", "ok", "detail"}]}`,
    200 when all is fine and 503 when not; `/metrics` is always 200."""

    # Plain functions: Starlette runs them in threads, so a slow database delays nobody else.
    def metrics(_request: Request) -> Response:
        return Response(render(), media_type=CONTENT_TYPE)

    routes = [
        Route("/livez", _answer(health.live)),
        Route("/readyz", _answer(health.ready)),
        Route("/metrics", metrics),
    ]
    if downloads is not None:
        routes.append(Route("/exports/{snapshot_id}", downloads.endpoint))
    return Starlette(routes=routes)


def _answer(checks: Sequence[Check]) -> Callable[[Request], Response]:
    def endpoint(_request: Request) -> Response:
        fine, findings = run(checks)
        told = [{"name": found.name, "ok": found.ok, "detail": found.detail} for found in findings]
        headers = {"cache-control": "no-store"}
        return JSONResponse({"ok": fine, "findings": told}, status_code=200 if fine else 503, headers=headers)

    return endpoint
