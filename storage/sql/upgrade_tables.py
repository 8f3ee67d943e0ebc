"""The tables of upgrades: published versions, what upgrades have come to, and what must not be installed.

Apart from the other tables because they outlive what those describe: a version every installation of it, a
record its operation. Nothing refers to them by foreign key, and they refer to nothing.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, LargeBinary, Table

from storage.sql.columns import ForeignText
from storage.sql.tables import metadata

version = Table(
    "version",
    metadata,
    Column("tenant_id", ForeignText, primary_key=True),
    Column("group_key", ForeignText, primary_key=True),
    Column("version", ForeignText, primary_key=True),
    Column("template", LargeBinary, nullable=False),  # sealed JSON: it holds registry passwords
    Column("updated_at", BigInteger, nullable=False),
)

upgrade_record = Table(
    "upgrade_record",
    metadata,
    Column("op_id", ForeignText, primary_key=True),
    Column("service_id", ForeignText, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("tenant_id", ForeignText, nullable=False),
    Column("group_id", ForeignText),
    Column("group_key", ForeignText, nullable=False),
    Column("kind", ForeignText, nullable=False),
    Column("parent_id", ForeignText),
    Column("old_version", ForeignText, nullable=False),
    Column("new_version", ForeignText, nullable=False),
    Column("status", ForeignText, nullable=False),
    Column("action", ForeignText, nullable=False),
    Column("event_id", ForeignText),
    Column("snapshot_id", ForeignText),
    Column("reason", ForeignText, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    CheckConstraint("kind IN ('upgrade','rollback')", name="kind"),
    Index("upgrade_record_service", "service_id", "kind", "seq"),
)

held_version = Table(
    "held_version",
    metadata,
    Column("service_id", ForeignText, primary_key=True),
    Column("group_key", ForeignText, primary_key=True),
    Column("version", ForeignText, primary_key=True),
    Column("reason", ForeignText, nullable=False),
    Column("op_id", ForeignText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)
