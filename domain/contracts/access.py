"""The port of tokens and sessions: who a secret belongs to.

Apart from the roles' meaning, which is decided where requests come in: here a role is a word that is kept. No method
takes or answers a secret, only its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from domain.audit import Actor


@dataclass(frozen=True, slots=True)
class Token:
    """A right to use the HTTP API and the console, until it is revoked or its time is over."""

    token_id: str
    name: str  # whose; stands in the audit trail
    roles: Mapping[str, str]  # tenant or "*" -> role
    created_at: int
    created_by: str
    expires_at: int | None = None
    last_used_at: int | None = None  # to the minute
    revoked_at: int | None = None
    revoked_by: str | None = None


class Tokens(Protocol):
    """Tokens, and the sessions that were begun with them. Rows of tokens are never deleted: names in the audit trail
    stay explained. All times by the database's clock, UTC milliseconds."""

    def create(self, name: str, digest: str, roles: Mapping[str, str], by: Actor, seconds: int | None) -> Token:
        """A new token; Refused when a usable one has that name."""

    def list(self) -> list[Token]:
        """All ever made, newest first."""

    def revoke(self, token_id: str, by: Actor) -> bool:
        """It opens nothing from now on, nor do its sessions; False when it was revoked before. NotFound."""

    def find(self, digest: str) -> Token | None:
        """The token with that secret, if it may be used now."""

    def begin_session(self, digest: str, token_id: str, seconds: int) -> None:
        """A session of that token; it ends with the time, or with the token."""

    def session(self, digest: str, idle_seconds: int) -> Token | None:
        """The token of that session, if both may be used and it was used within that time."""

    def end_session(self, digest: str) -> None:
        """The session opens nothing from now on."""

    def expire_sessions(self) -> int:
        """Forget sessions whose time is over; how many."""
