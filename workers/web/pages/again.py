"""A mistake in a form is answered with the page that has the form: filled in again, and told what was wrong.

Apart from the pages because none of them takes part: each form says in a hidden field on which page it stands, and
that page is asked for as the same caller would, so it shows what they may see and nothing else. Where that page does
not answer any more, or has no such form, there is the page of an error instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from starlette.datastructures import FormData, Headers
from starlette.exceptions import HTTPException
from starlette.types import Message

from workers.web.pages.frame import SECTIONS
from workers.web.pages.refilling import Fault, Sent, refilled
from workers.web.problems import Problem

#: The name of the hidden field.
AT = "at"
#: What somebody may put right in the form, or by sending it again; anything else is not about what they typed.
_MENDABLE = frozenset({409, 422, 503})
#: Whether it was done is not known, so the form must stay the same command, which is done once however often it is
#: sent. What was refused was not done, and its id may stand for something else by now, so that form has a new one.
_UNKNOWN, _THE_COMMAND = HTTPStatus.SERVICE_UNAVAILABLE, frozenset({"message_id"})
#: First segments of the pages that have forms; what else this server answers (archives, files, the API, health) is
#: never asked for from here.
_SECTIONS = frozenset(section.href.split("/")[1] for section in SECTIONS)
#: Of a request, what another one must not take over.
_OF_THE_BODY = frozenset({b"content-type", b"content-length", b"transfer-encoding", b"expect"})


async def form_again(request: Request, problem: Problem, faults: Sequence[Fault] = ()) -> Response | None:
    """The answer to a form that was wrong; None when it is no form of a page, or the page cannot show it."""
    if request.method != "POST" or problem.status not in _MENDABLE:
        return None
    try:
        form = await request.form()
    except HTTPException:  # not even readable
        return None
    at = form.get(AT)
    if not isinstance(at, str) or not _is_page(at):
        return None
    page = await _page(request, at)
    if page is None:
        return None
    told = faults or [Fault(problem.detail, problem.field, problem.next_step)]
    kept = _THE_COMMAND if problem.status == _UNKNOWN else frozenset()
    again = await run_in_threadpool(refilled, page, at, request.url.path, _sent(form), told, kept)
    return None if again is None else HTMLResponse(again, status_code=problem.status)


def _is_page(at: str) -> bool:
    """Whether it is an address of our own pages. What it leads to is read as the caller, and shown to nobody else."""
    if not at.isascii() or not at.startswith("/") or at.startswith(("//", "/\\")):
        return False
    return _path(at).split("/")[1] in _SECTIONS


def _path(at: str) -> str:
    """The path as routes see it: what is quoted in an address is not quoted there."""
    return unquote(at.partition("?")[0])


def _sent(form: FormData) -> Sent:
    found: dict[str, list[str]] = {}
    for name, value in form.multi_items():
        if isinstance(value, str):
            found.setdefault(name, []).append(value)
    return found


async def _page(request: Request, at: str) -> str | None:
    """What a GET of that address answers to the same caller; None unless it is a page."""
    quoted, _, query = at.partition("?")
    kept = [(name, value) for name, value in request.scope["headers"] if name not in _OF_THE_BODY]
    scope: dict[str, Any] = {
        name: request.scope[name]
        for name in ("type", "asgi", "http_version", "scheme", "server", "client")
        if name in request.scope
    }
    scope |= {
        "method": "GET", "path": _path(at), "raw_path": quoted.encode(), "query_string": query.encode(),
        "root_path": "", "headers": kept, "state": {}, "extensions": {},
    }  # fmt: skip
    answer = _Answer()
    await request.app(scope, answer.receive, answer.send)
    return b"".join(answer.pieces).decode() if answer.is_page else None


class _Answer:
    """What comes of a request without a body, as far as it is a page: of anything else nothing is kept."""

    def __init__(self) -> None:
        self.is_page = False
        self.pieces: list[bytes] = []
        self._asked = False

    async def receive(self) -> Message:
        """The request once, and then its end: who waits for that, as one who streams does, must not wait in vain."""
        if self._asked:
            return {"type": "http.disconnect"}
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Message) -> None:
        """Take a part of the answer."""
        if message["type"] == "http.response.start":
            kind = Headers(raw=message["headers"]).get("content-type", "")
            self.is_page = message["status"] == HTTPStatus.OK and kind.startswith("text/html")
        elif self.is_page:
            self.pieces.append(message.get("body", b""))
