"""The audit trail as SQL: written inside the transaction of the change that it tells of, and only ever read after.

Apart from what it tells of, because every kind of change writes it alike. Triggers refuse to change or delete a row.
"""

from __future__ import annotations

import builtins
import json
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from domain.audit import LONGEST_REASON, Entry
from storage.sql.letter_tables import audit
from storage.sql.sealed import to_json
from storage.sql.transactions import Transactions


def write(connection: Connection, entry: Entry, now: int) -> None:
    """Add the entry in the caller's transaction; `now` is its time unless it has one."""
    connection.execute(
        insert(audit),
        {
            "at": entry.at or now,
            "actor": entry.actor,
            "way": entry.way,
            "action": entry.action,
            "subject": entry.subject,
            "tenant_id": entry.tenant_id,
            "reason": entry.reason[:LONGEST_REASON],
            "detail": to_json(dict(entry.detail)),
        },
    )


class SqlAudit:
    """The port `Audit`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def record(self, entry: Entry) -> None:
        """Keep it, in a transaction of its own: for effects outside SQL."""
        with self._tx.write("audit") as connection:
            write(connection, entry, self._tx.now(connection))

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
        wanted = select(audit).order_by(audit.c.seq.desc()).limit(limit)
        asked = ((audit.c.tenant_id, tenant_id), (audit.c.actor, actor), (audit.c.action, action))
        for column, value in (*asked, (audit.c.subject, subject)):
            if value is not None:
                wanted = wanted.where(column == value)
        if before is not None:
            wanted = wanted.where(audit.c.seq < before)
        with self._tx.read() as connection:
            return [_entry(row) for row in connection.execute(wanted)]


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        seq=row.seq,
        at=row.at,
        actor=row.actor,
        way=row.way,
        action=row.action,
        subject=row.subject,
        tenant_id=row.tenant_id,
        reason=row.reason,
        detail=json.loads(row.detail),
    )
