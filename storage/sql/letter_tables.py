"""The tables of what people do: replays of dead letters, and the audit trail of every change.

Apart from the other tables because no worker reads them to decide anything.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text

from storage.sql.columns import ForeignText, number, partial, serial
from storage.sql.tables import metadata

audit = Table(
    "audit",
    metadata,
    serial(),
    Column("at", BigInteger, nullable=False),
    Column("actor", ForeignText, nullable=False),
    Column("way", ForeignText, nullable=False),
    Column("action", ForeignText, nullable=False),
    Column("subject", ForeignText, nullable=False),
    Column("tenant_id", ForeignText, nullable=False),
    Column("reason", ForeignText, nullable=False),
    Column("detail", Text, nullable=False),  # JSON
    CheckConstraint("way IN ('cli','api','console')", name="way"),
    Index("audit_tenant", "tenant_id", "seq"),
    Index("audit_subject", "subject", "seq"),
    Index("audit_actor", "actor", "seq"),
    sqlite_autoincrement=True,
)

replay = Table(
    "replay",
    metadata,
    serial(),
    Column("replay_id", ForeignText, nullable=False, unique=True),
    Column("state", ForeignText, nullable=False),
    Column("actor", ForeignText, nullable=False),
    Column("way", ForeignText, nullable=False),
    Column("reason", ForeignText, nullable=False),
    number("canary"),
    number("per_minute"),  # 0: no limit
    Column("why", ForeignText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    number("rest_from"),
    number("ended_at"),
    CheckConstraint("state IN ('RUNNING','DONE','STOPPED')", name="state"),
    partial("replay_running", "seq", where="state = 'RUNNING'"),
    sqlite_autoincrement=True,
)

replay_item = Table(
    "replay_item",
    metadata,
    Column("replay_id", ForeignText, ForeignKey("replay.replay_id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("dead_letter_id", ForeignText, nullable=False),
    Column("state", ForeignText, nullable=False),
    Column("op_id", ForeignText),
    Column("why", ForeignText, nullable=False, server_default=""),
    CheckConstraint("state IN ('WAITING','REPLAYED','SKIPPED')", name="state"),
    Index("replay_item_letter", "dead_letter_id"),
)
