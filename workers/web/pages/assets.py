"""`/static/…`: the style sheet, the script and the mark, and not one file more.

Apart from the pages because whoever is not signed in needs them too. The names are the whole list, so there is no
path to walk; an address holds a digest of what it leads to, so an answer may be kept for ever.
"""

from __future__ import annotations

import os

from fastapi import APIRouter
from fastapi.responses import Response

from domain.errors import NotFound
from workers.web.pages.rendering import STATIC

#: name -> media type.
FILES = {"console.css": "text/css", "console.js": "text/javascript", "mark.svg": "image/svg+xml"}


def routes() -> APIRouter:
    """The one route."""
    made = APIRouter(include_in_schema=False)
    made.add_api_route("/static/{name}", _file, methods=["GET"])
    return made


def _file(name: str) -> Response:
    if name not in FILES:
        raise NotFound(f"there is no file {name[:80]!r}", code="no-such-page")
    with open(os.path.join(STATIC, name), "rb") as file:
        held = file.read()
    return Response(held, media_type=FILES[name], headers={"cache-control": "public, max-age=31536000, immutable"})
