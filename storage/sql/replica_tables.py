"""The table of copies: which replica has which snapshot.

Apart from the other tables because it is a journal that may be lost: it refers to nothing by foreign key, and a row may
outlive its snapshot for as long as somebody writes to the replica.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Table

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
