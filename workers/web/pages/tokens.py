"""Tokens on a page: who has one, with which roles and until when; making one, which is shown once, and ending one.

Apart from the login, which takes them. Only whoever is an admin of every tenant comes here: a token can be given any
role. What is made is shown in the answer to the very form that made it, and is nowhere else: no address, no log and no
row holds it, and sending the form again makes no second one, because the name is taken.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from domain.contracts import Token
from domain.errors import NotFound
from workers.cli.tokens import check_token_name, read_roles
from workers.web import credentials
from workers.web.access import Action, Caller, Role
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, shown

#: Days that a token lasts unless somebody says otherwise, and at most; empty is for ever.
DAYS, MOST_DAYS = 90, 3650
#: Tokens that open nothing any more, of which the page shows the newest.
MOST_OVER = 50


def routes() -> APIRouter:
    """The page and its two forms."""
    made = APIRouter(prefix="/tokens", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("", create, methods=["POST"])
    made.add_api_route("/{token_id}/revoke", revoke, methods=["POST"])
    return made


def listed(request: Request, here: Here, who: Who) -> Response:
    """All of them, without their secrets, which nobody has."""
    who.require(Action.TOKENS_CHANGE, None)
    return _page(request, here, who)


def create(
    request: Request, here: Here, who: Who, name: Annotated[str, Form()] = "", roles: Annotated[str, Form()] = "",
    days: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Make one, and show it this once."""
    who.require(Action.TOKENS_CHANGE, None)
    wanted = read_roles(roles.split(), "roles")
    if not wanted:
        raise mistake("roles: give at least one, as viewer:acme, or operator for every tenant", "roles")
    seconds = None if not days.strip() else _days(days.strip()) * 86_400
    secret = credentials.new_token()
    made = here.database.tokens.create(
        check_token_name(name.strip()), credentials.digest(secret), wanted, who.actor, seconds
    )
    return _page(request, here, who, made=made, secret=secret)


def revoke(here: Here, who: Who, token_id: str, typed: Annotated[str, Form()] = "") -> Response:
    """End it and its sessions, now."""
    who.require(Action.TOKENS_CHANGE, None)
    found = next((one for one in here.database.tokens.list() if one.token_id == token_id), None)
    if found is None:
        raise NotFound(f"there is no token {token_id[:80]}", code="unknown-token", next_step="the list shows them all")
    if typed.strip() != found.name:
        raise mistake("to revoke a token, type its name", "typed")
    done = here.database.tokens.revoke(token_id, who.actor)
    return RedirectResponse(f"/tokens?told={'changed' if done else 'before'}", status_code=303)


def _days(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= MOST_DAYS:
        raise mistake(f"days: must be a whole number from 1 to {MOST_DAYS}, or empty for no end", "days")
    return int(text)


def _page(request: Request, here: Desk, who: Caller, made: Token | None = None, secret: str = "") -> Response:
    now = here.clock.wall_ms()
    rows = [_row(one, now) for one in here.database.tokens.list()]
    return shown(
        request, here, who, "tokens.html", section="tokens", title="Tokens", made=made, secret=secret,
        usable=[row for row in rows if row["usable"]], over=[row for row in rows if not row["usable"]][:MOST_OVER],
        days=DAYS, most_days=MOST_DAYS, known_roles=list(Role),
    )  # fmt: skip


def _row(token: Token, now: int) -> dict[str, Any]:
    ended = token.expires_at is not None and token.expires_at <= now
    return {
        "token": token,
        "roles": ", ".join(
            f"{role} in {'every tenant' if tenant == '*' else tenant}" for tenant, role in sorted(token.roles.items())
        ),
        "usable": token.revoked_at is None and not ended,
        "why": f"revoked by {token.revoked_by}" if token.revoked_at is not None else "its time is over",
        "at": token.revoked_at or token.expires_at or 0,
    }
