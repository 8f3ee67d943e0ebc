"""The JSON API under /api/v1: one file per kind of resource, and what they share in files named after it.

Apart from the pages because it answers programs. Its OpenAPI document is generated from these files and tested
against their answers.
"""

from __future__ import annotations

from fastapi import APIRouter

from workers.web.api import (
    commands,
    dead_letters,
    installation,
    nodes,
    operations,
    replays,
    schedules,
    services,
    snapshots,
)

DESCRIPTION = """\
Everything needs `Authorization: Bearer TOKEN`; `backstay tokens create` makes tokens. Errors are problem details
(RFC 9457) with a stable `code`. Lists come in pages, newest first: `next` of a page is `before` for the one after it.
A POST that becomes a command answers 202 with the operation that it has become; `Idempotency-Key` makes a repeat of it
the same command.
"""


def router() -> APIRouter:
    """All resources."""
    whole = APIRouter(prefix="/api/v1")
    for routes in (
        operations.routes,
        services.routes,
        snapshots.routes,
        schedules.routes,
        dead_letters.routes,
        replays.routes,
        nodes.routes,
        installation.routes,
        commands.routes(),
    ):
        whole.include_router(routes)
    return whole
