"""The table of nodes: when each was seen, whether it takes work, and what it last said of itself.

Apart from the tables of work, because no operation refers to it: a node is a name there.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from storage.sql.columns import ForeignText, number
from storage.sql.tables import metadata

node = Table(
    "node",
    metadata,
    Column("node", ForeignText, primary_key=True),
    Column("boot_id", ForeignText, nullable=False),
    Column("version", ForeignText, nullable=False),
    Column("first_seen_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    number("drained_at"),  # 0: it takes work
    Column("drained_by", ForeignText, nullable=False, server_default=""),
    Column("drain_reason", ForeignText, nullable=False, server_default=""),
    Column("report", Text, nullable=False, server_default=""),  # JSON: what it last said of itself
)
