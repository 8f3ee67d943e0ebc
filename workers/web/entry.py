"""How a request gets its caller: by the token that it brings, or by the session of a browser.

Apart from the roles, which are the same for both ways. A request that changes something and comes with a cookie must
prove that one of our own pages sent it: by where the browser says that it is from, and by the session's form token.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from domain.contracts import Token
from workers.web import credentials
from workers.web.access import Caller, NotAllowed, NotAuthenticated, Role
from workers.web.desk import Desk, desk

#: Seconds after which a session ends, and those without a request after which it does.
SESSION_SECONDS = 12 * 3600
IDLE_SECONDS = 2 * 3600
#: The name that a form's hidden field has; scripts send the header instead.
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def caller(request: Request) -> Caller:
    """The dependency of routes: NotAuthenticated without a usable token or session, NotAllowed for a forged form."""
    here = desk(request)
    header = request.headers.get("authorization")
    if header is not None:
        return await run_in_threadpool(_by_token, here, header)
    secret = request.cookies.get(cookie_name(request), "")
    found = await run_in_threadpool(_by_session, here, secret)
    if request.method not in _SAFE:
        check_origin(request)
        await _check_form(request, found)
    return found


Who = Annotated[Caller, Depends(caller)]


def cookie_name(request: Request) -> str:
    """Over TLS a name that browsers take from this very host only."""
    return "__Host-backstay" if is_tls(request) else "backstay"


def is_tls(request: Request) -> bool:
    """Whether browsers reach this process by https, here or at a proxy before it."""
    public = desk(request).settings.public_url or ""
    return request.url.scheme == "https" or public.startswith("https://")


def check_origin(request: Request) -> None:
    """NotAllowed when a browser says that another site's page sent this. Other programs say nothing of the kind."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    own = {request.headers.get("host", ""), urlsplit(desk(request).settings.public_url or "").netloc}
    if site not in (None, "same-origin", "none") or (origin is not None and urlsplit(origin).netloc not in own - {""}):
        raise NotAllowed(
            "the request comes from a page of another site",
            code="foreign-origin",
            next_step="use the console's own pages; behind a proxy set BACKSTAY_PUBLIC_URL to the address that is used",
        )


def caller_of(token: Token, via: str, csrf: str = "") -> Caller:
    """The caller that a token speaks for; a role that this version does not know is none."""
    known = {role.value for role in Role}
    roles = {tenant: Role(role) for tenant, role in token.roles.items() if role in known}
    return Caller(token.name, roles, via, csrf)


def token_of(here: Desk, secret: str) -> Token | None:
    """The usable token with that secret."""
    if not secret.startswith(credentials.PREFIX) or len(secret) > credentials.MAX_LENGTH:
        return None
    return here.database.tokens.find(credentials.digest(secret))


def _by_token(here: Desk, header: str) -> Caller:
    scheme, _, secret = header.partition(" ")
    token = token_of(here, secret.strip()) if scheme.lower() == "bearer" else None
    if token is None:
        raise NotAuthenticated("the token is not valid: it is unknown, revoked, or its time is over")
    return caller_of(token, "api")


def _by_session(here: Desk, secret: str) -> Caller:
    usable = 0 < len(secret) <= credentials.MAX_LENGTH
    token = here.database.tokens.session(credentials.digest(secret), IDLE_SECONDS) if usable else None
    if token is None:
        raise NotAuthenticated("nobody is logged in, or the session has ended")
    return caller_of(token, "console", credentials.csrf_of(secret))


async def _check_form(request: Request, found: Caller) -> None:
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(
        ("application/x-www-form-urlencoded", "multipart/form-data")
    ):
        given = str((await request.form()).get(CSRF_FIELD, ""))
    if not credentials.equal(given or "", found.csrf):
        raise NotAllowed(
            "the form is not one of this session's", code="forged-form", next_step="open the page again and repeat it"
        )
