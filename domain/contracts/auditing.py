"""The port of the audit trail.

Apart from the ports of telling because nobody is told: it is looked up.
"""

from __future__ import annotations

import builtins
from typing import Protocol

from domain.audit import Entry


class Audit(Protocol):
    """Who changed what. Nothing in it is ever changed or removed."""

    def record(self, entry: Entry) -> None:
        """Keep it, durably: for effects outside SQL, before they happen. Changes in SQL write theirs themselves."""

    def list(
        self,
        *,
        tenant_id: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        limit: int = 50,
        before: int | None = None,
    ) -> builtins.list[Entry]:
        """Newest first; `before` is the `seq` of the last entry of the page before."""
