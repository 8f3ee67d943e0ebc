"""From a template and what it shows to an answer: the one place that knows jinja2.

Apart from the pages because escaping is decided here, once, for all of them. Everything is escaped; a name that a
template expects and nobody gives is an error, not an empty place; nothing is read from disk before the first page.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workers.web.pages import wording

_HERE = os.path.dirname(os.path.dirname(__file__))
STATIC = os.path.join(_HERE, "static")


@cache
def environment() -> Environment:
    """The templates, with the words of `wording` as filters."""
    made = Environment(
        loader=FileSystemLoader(os.path.join(_HERE, "templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    words = (
        *(wording.state, wording.span, wording.moment, wording.machine_time, wording.size),
        *(wording.number, wording.short, wording.visible, wording.share, wording.sentence, wording.of_tenant),
    )
    made.filters |= {word.__name__: word for word in words}
    made.globals["asset"] = asset
    return made


@cache
def asset(name: str) -> str:
    """The address of a file of ours, with what it holds in it, so that browsers may keep it for ever."""
    with open(os.path.join(STATIC, name), "rb") as file:
        return f"/static/{name}?v={hashlib.sha256(file.read()).hexdigest()[:12]}"


def page(template: str, status: int = 200, **shown: Any) -> Response:
    """The answer with that template filled in."""
    return HTMLResponse(environment().get_template(template).render(shown), status_code=status)
