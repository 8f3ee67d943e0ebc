"""The tables of what is made from a snapshot: its copies, by replica, and the archive that it was exported to.

Apart from the other tables because neither is needed to have the snapshot: they refer to nothing by foreign key, and a
row may outlive its snapshot for as long as somebody writes to the replica or reads the archive.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table

from storage.sql.columns import ForeignText, number, partial
from storage.sql.tables import metadata

snapshot_replica = Table(
    "snapshot_replica",
    metadata,
    Column("snapshot_id", ForeignText, primary_key=True),
    Column("replica", ForeignText, primary_key=True),
    Column("state", ForeignText, nullable=False),
    number("attempts"),
    number("not_before"),
    number("held_until"),
    Column("trouble", ForeignText, nullable=False, server_default=""),  # why it could not be copied, or what is damaged
    Column("updated_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('pending','copied','damaged')", name="state"),
    partial("snapshot_replica_held", "held_until", where="state <> 'copied'"),
)

export = Table(
    "export",
    metadata,
    Column("snapshot_id", ForeignText, primary_key=True),
    Column("tenant_id", ForeignText, nullable=False),
    Column("object_key", ForeignText, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", ForeignText, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("export_expiry", "expires_at"),
)
