"""`/login` and `/logout`: a token becomes the session of a browser, and the session ends.

Apart from the pages because this is where a secret is typed: it goes into no address, no cookie and no log. The
session's own secret is another one, known to the browser only and beyond the reach of scripts.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from workers.web import credentials
from workers.web.desk import Desk, desk
from workers.web.entry import SESSION_SECONDS, Who, check_origin, cookie_name, is_tls, token_of
from workers.web.pages.rendering import page

Here = Annotated[Desk, Depends(desk)]


def router() -> APIRouter:
    """The three routes."""
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/login", show, methods=["GET"])
    routes.add_api_route("/login", log_in, methods=["POST"])
    routes.add_api_route("/logout", log_out, methods=["POST"])
    return routes


def address(request: Request) -> str:
    """Where to log in, so that the page asked for comes next."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"/login?next={quote(wanted, safe='')}"


def show(request: Request, next: str = "/") -> Response:
    """The form."""
    return _page(inside(next))


def log_in(
    request: Request, here: Here, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = "/"
) -> Response:
    """Begin a session, or show the form again with what was wrong."""
    check_origin(request)
    found = token_of(here, token.strip())
    if found is None:
        return _page(inside(next), "This token is not valid: it is unknown, revoked, or its time is over.", 401)
    here.database.tokens.expire_sessions()  # nobody else has to think of it
    secret = credentials.new_secret()
    here.database.tokens.begin_session(credentials.digest(secret), found.token_id, SESSION_SECONDS)
    answer = RedirectResponse(inside(next), status_code=303)
    answer.set_cookie(
        cookie_name(request), secret, max_age=SESSION_SECONDS, path="/", secure=is_tls(request), httponly=True,
        samesite="lax",
    )  # fmt: skip
    return answer


def log_out(request: Request, here: Here, who: Who) -> Response:
    """End the session, here and in the browser."""
    name = cookie_name(request)
    here.database.tokens.end_session(credentials.digest(request.cookies.get(name, "")))
    answer = RedirectResponse("/login", status_code=303)
    answer.delete_cookie(name, path="/", secure=is_tls(request), httponly=True, samesite="lax")
    answer.headers["clear-site-data"] = '"cache", "storage"'
    return answer


def inside(wanted: str) -> str:
    """The address if it is a path of ours, else the first page: nobody is sent elsewhere from here."""
    own = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if own and "\\" not in wanted else "/"


def _page(following: str, fault: str = "", status: int = 200) -> Response:
    return page("login.html", status, following=following, fault=fault)
