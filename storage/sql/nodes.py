"""Which nodes run a worker. Apart from the ledger because nothing that must be true rests on it.

A node that has not been seen for a while is only called away; its operations keep waiting for it, and a
person or a new registration of the service moves them.
"""

from __future__ import annotations

from sqlalchemy import select

from domain.contracts import NodeSeen
from storage.sql.tables import node as node_table
from storage.sql.transactions import Transactions


class SqlNodes:
    """The port `Nodes`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def beat(self, node: str, boot_id: str, version: str) -> None:
        """This node is alive now."""
        with self._tx.write("beat") as connection:
            now = self._tx.now(connection)
            connection.execute(
                self._tx.insert(node_table)
                .values(node=node, boot_id=boot_id, version=version, first_seen_at=now, seen_at=now)
                .on_conflict_do_update(
                    index_elements=[node_table.c.node],
                    set_={"boot_id": boot_id, "version": version, "seen_at": now},
                )
            )

    def list(self) -> list[NodeSeen]:
        """All nodes ever seen, by name."""
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            rows = connection.execute(select(node_table).order_by(node_table.c.node)).all()
        return [NodeSeen(row.node, row.seen_at, max(0, now - row.seen_at), row.version) for row in rows]
