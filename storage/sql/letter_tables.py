"""The tables of what people do: the audit trail of every change that somebody has made.

Apart from the other tables because no worker reads them to decide anything.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text

from storage.sql.columns import ForeignText, serial
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
