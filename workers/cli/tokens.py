"""`backstay tokens`: who may use the HTTP API and the console, and as what.

Apart from the API itself, which makes no tokens: whoever can run this on a node is trusted with everything already, as
is an admin of every tenant, who has a page for it on the console. A token is shown once, when it is made; SQL holds its
digest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidMessage
from domain.identity import check_name
from workers.cli.documents import moment
from workers.cli.session import AsJson, operator, session
from workers.web.access import EVERYWHERE, Role

if TYPE_CHECKING:
    from domain.contracts import Token

group = typer.Typer(no_args_is_help=True, help="Tokens for the HTTP API and the console.")

#: Safe in a CloudEvents source, in a log and in a list.
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}\Z")


@group.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose; stands in the audit trail.")],
    role: Annotated[
        list[str], typer.Option(metavar="ROLE[:TENANT]", help="viewer, operator or admin; repeatable, once a tenant.")
    ],
    days: Annotated[int | None, typer.Option(metavar="N", min=1, max=3650, help="Until it ends. Default: never.")] = (
        None
    ),
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, this once: `tokens create anna --role operator:acme --days 90`."""
    with session(as_json) as here:
        from workers.web import credentials

        check_token_name(name)
        roles = read_roles(role)
        secret = credentials.new_token()
        seconds = None if days is None else days * 86_400
        made = here.database().tokens.create(name, credentials.digest(secret), roles, operator(), seconds)
        here.screen.document(token_document(made) | {"token": secret})
        here.screen.line(secret)
        here.screen.note(f"this is the token of {name} ({_written(roles)}); it is not shown again")


@group.command("list")
def list_(as_json: AsJson = False) -> None:
    """List tokens, newest first, without their secrets."""
    with session(as_json) as here:
        found = here.database().tokens.list()
        here.screen.document({"tokens": [token_document(token) for token in found], "next": None})
        rows = [
            (t.token_id, t.name, _written(t.roles), _when(t.created_at), _when(t.last_used_at), _standing(t))
            for t in found
        ]
        here.screen.table(("ID", "NAME", "ROLES", "CREATED", "LAST USED", "ENDS"), rows, "no tokens")


@group.command()
def revoke(token_id: Annotated[str, typer.Argument(metavar="TOKEN_ID")], as_json: AsJson = False) -> None:
    """End a token and all sessions that were begun with it, now."""
    with session(as_json) as here:
        done = here.database().tokens.revoke(token_id, operator())
        here.screen.document({"token_id": token_id, "revoked_now": done})
        here.screen.line(f"token {token_id} is revoked" if done else f"token {token_id} was revoked before")


def check_token_name(name: str) -> str:
    """The name, if a token may have it."""
    if not _NAME.match(name):
        raise InvalidMessage("name must be of a-z, 0-9, '.', '_', '@' and '-', at most 63", field="name")
    return name


def read_roles(texts: list[str], field: str = "role") -> dict[str, str]:
    """`viewer:acme` and `admin` as tenant -> role; without a tenant it is everywhere. `field`: what mistakes name."""
    found: dict[str, str] = {}
    for text in texts:
        role, colon, tenant = text.partition(":")
        if role not in {known.value for known in Role}:
            raise InvalidMessage(f"{field}: {role[:40]!r} is none of {', '.join(Role)}", field=field)
        where = check_name(tenant, field) if colon and tenant != EVERYWHERE else EVERYWHERE
        if where in found:
            raise InvalidMessage(f"{field}: {where} is named twice", field=field)
        found[where] = role
    return found


def token_document(token: Token) -> dict[str, Any]:
    """A token, without its secret, which nobody has."""
    return {
        "token_id": token.token_id,
        "name": token.name,
        "roles": dict(token.roles),
        "created_at": moment(token.created_at),
        "created_by": token.created_by,
        "expires_at": moment(token.expires_at or 0),
        "last_used_at": moment(token.last_used_at or 0),
        "revoked_at": moment(token.revoked_at or 0),
        "revoked_by": token.revoked_by,
    }


def _written(roles: Any) -> str:
    return " ".join(f"{role}:{tenant}" for tenant, role in sorted(roles.items()))


def _when(milliseconds: int | None) -> str:
    return moment(milliseconds or 0) or "-"


def _standing(token: Token) -> str:
    if token.revoked_at is not None:
        return f"revoked by {token.revoked_by}"
    return _when(token.expires_at)
