"""Answers about who may use the HTTP API and the console."""

from __future__ import annotations

from typing import Annotated, TypedDict

from workers.cli.answers.words import Id, Next, Time


class Token(TypedDict):
    """A token, without its secret."""

    token_id: Id
    name: str
    roles: Annotated[dict[str, str], "tenant, or `*` for all: viewer, operator or admin"]
    created_at: Time | None
    created_by: str
    expires_at: Annotated[str | None, "null: it does not end by itself"]
    last_used_at: Time | None
    revoked_at: Time | None
    revoked_by: str | None


class TokenMade(Token):
    """A token, with its secret this once."""

    token: Annotated[str, "the secret; nobody can show it again"]


class Tokens(TypedDict):
    """Tokens, newest first."""

    tokens: list[Token]
    next: Next


class TokenRevoked(TypedDict):
    """A token that has ended."""

    token_id: Id
    revoked_now: Annotated[bool, "false when it had ended before"]
