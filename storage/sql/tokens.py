"""Tokens and sessions in SQL: found by the digest of their secret, usable or not by the database's clock.

Apart from the rest because nothing that an operation promises rests on it. A use is noted once a minute at most, so
that reading over HTTP does not become writing.
"""

from __future__ import annotations

import builtins
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from domain.audit import Actor
from domain.contracts import Token
from domain.errors import NotFound, Refused
from storage.sql import audit
from storage.sql.access_tables import access_session, access_token
from storage.sql.ids import new_id
from storage.sql.transactions import Conflict, Transactions

#: Milliseconds between two notes that a token or a session was used.
NOTE_EVERY = 60_000


class SqlTokens:
    """The port `Tokens`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def create(self, name: str, digest: str, roles: Mapping[str, str], by: Actor, seconds: int | None) -> Token:
        """A new token; Refused when a usable one has that name."""
        try:
            with self._tx.write("token") as connection:
                now = self._tx.now(connection)
                self._free_name(connection, name, now)
                row = connection.execute(
                    insert(access_token)
                    .values(
                        token_id=new_id(), name=name, digest=digest, roles=json.dumps(dict(roles)), created_at=now,
                        created_by=by.name, expires_at=None if seconds is None else now + seconds * 1000,
                    )
                    .returning(access_token)
                ).one()  # fmt: skip
                detail = {"name": name, "roles": dict(roles)}
                audit.write(connection, by.entry("token.create", f"token/{row.token_id}", detail=detail), now)
        except Conflict:
            raise Refused(
                f"there is a token named {name} already",
                code="token-name-taken",
                next_step="choose another name, or revoke that token first: `backstay tokens list` shows its id",
            ) from None
        return _token(row)

    def list(self) -> builtins.list[Token]:
        """All ever made, newest first."""
        wanted = select(access_token).order_by(access_token.c.created_at.desc(), access_token.c.token_id.desc())
        with self._tx.read() as connection:
            return [_token(row) for row in connection.execute(wanted)]

    def revoke(self, token_id: str, by: Actor) -> bool:
        """It opens nothing from now on; False when it was revoked before. NotFound."""
        with self._tx.write("token") as connection:
            now = self._tx.now(connection)
            row = connection.execute(
                update(access_token)
                .where(access_token.c.token_id == token_id, access_token.c.revoked_at.is_(None))
                .values(revoked_at=now, revoked_by=by.name)
                .returning(access_token.c.token_id)
            ).first()
            known = select(access_token.c.token_id).where(access_token.c.token_id == token_id)
            if row is None and connection.scalar(known) is None:
                raise NotFound(
                    f"there is no token {token_id}",
                    code="unknown-token",
                    next_step="`backstay tokens list` shows them all",
                )
            connection.execute(delete(access_session).where(access_session.c.token_id == token_id))
            if row is not None:
                audit.write(connection, by.entry("token.revoke", f"token/{token_id}"), now)
        return row is not None

    def find(self, digest: str) -> Token | None:
        """The token with that secret, if it may be used now."""
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            row = connection.execute(
                select(access_token).where(access_token.c.digest == digest, _usable(now))
            ).first()  # fmt: skip
        if row is None:
            return None
        if now - (row.last_used_at or 0) >= NOTE_EVERY:
            self._note(row.token_id, now)
        return _token(row)

    def begin_session(self, digest: str, token_id: str, seconds: int) -> None:
        """A session of that token; it ends with the time, or with the token."""
        with self._tx.write("session") as connection:
            now = self._tx.now(connection)
            connection.execute(
                insert(access_session).values(
                    digest=digest, token_id=token_id, created_at=now, seen_at=now, expires_at=now + seconds * 1000
                )
            )

    def session(self, digest: str, idle_seconds: int) -> Token | None:
        """The token of that session, if both may be used and it was used within that time."""
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            row = connection.execute(
                select(access_token, access_session.c.seen_at)
                .join(access_session, access_session.c.token_id == access_token.c.token_id)
                .where(
                    access_session.c.digest == digest,
                    access_session.c.expires_at > now,
                    access_session.c.seen_at > now - idle_seconds * 1000,
                    _usable(now),
                )
            ).first()
        if row is None:
            return None
        if now - row.seen_at >= NOTE_EVERY:
            self._note(row.token_id, now, digest)
        return _token(row)

    def end_session(self, digest: str) -> None:
        """The session opens nothing from now on."""
        with self._tx.write("session") as connection:
            connection.execute(delete(access_session).where(access_session.c.digest == digest))

    def expire_sessions(self) -> int:
        """Forget sessions whose time is over; how many."""
        with self._tx.write("session") as connection:
            now = self._tx.now(connection)
            return connection.execute(delete(access_session).where(access_session.c.expires_at <= now)).rowcount

    def _note(self, token_id: str, now: int, digest: str | None = None) -> None:
        with self._tx.write("token-used") as connection:
            connection.execute(
                update(access_token).where(access_token.c.token_id == token_id).values(last_used_at=now)
            )  # fmt: skip
            if digest is not None:
                connection.execute(
                    update(access_session).where(access_session.c.digest == digest).values(seen_at=now)
                )  # fmt: skip

    def _free_name(self, connection: Connection, name: str, now: int) -> None:
        """A token whose time is over keeps nobody from its name."""
        connection.execute(
            update(access_token)
            .where(access_token.c.name == name, access_token.c.revoked_at.is_(None), access_token.c.expires_at <= now)
            .values(revoked_at=access_token.c.expires_at, revoked_by="its own time")
        )


def _usable(now: int) -> ColumnElement[bool]:
    over = or_(access_token.c.expires_at.is_(None), access_token.c.expires_at > now)
    return access_token.c.revoked_at.is_(None) & over


def _token(row: Row[Any]) -> Token:
    return Token(
        token_id=row.token_id,
        name=row.name,
        roles=json.loads(row.roles),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
    )
