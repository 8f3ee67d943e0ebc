"""Which nodes run a worker, and whether they may begin work. Apart from the ledger because nothing that must be
true rests on a beat: a node that has not been seen for a while is only called away, and its operations keep waiting
for it until a person moves them.

A drain does decide: a claim locks the node's row as it is, so that no claim which began before a drain can
commit after it.
"""

from __future__ import annotations

import builtins
import json
from collections import Counter
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from domain.audit import Actor
from domain.contracts import NodeSeen
from domain.node import NodeReport, check_forget, unknown
from domain.operation import State
from storage.sql import audit
from storage.sql.node_tables import node as node_table
from storage.sql.sealed import to_json
from storage.sql.states import held, state_is
from storage.sql.tables import operation, service
from storage.sql.transactions import Transactions


class SqlNodes:
    """The port `Nodes`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def beat(self, node: str, boot_id: str, version: str, report: NodeReport | None = None) -> bool:
        """This node is alive now; whether it is drained."""
        said = "" if report is None else to_json(report.document())
        with self._tx.write("beat") as connection:
            now = self._tx.now(connection)
            told = {"boot_id": boot_id, "version": version, "seen_at": now, "report": said}
            drained_at = connection.scalar(
                self._tx.insert(node_table)
                .values(node=node, first_seen_at=now, **told)
                .on_conflict_do_update(index_elements=[node_table.c.node], set_=told)
                .returning(node_table.c.drained_at)
            )
        return bool(drained_at)

    def get(self, node: str) -> NodeSeen | None:
        """One of them."""
        with self._tx.read() as connection:
            return next(iter(self._counted(connection, node)), None)

    def drain(self, node: str, by: Actor, reason: str) -> NodeSeen:
        """From the return on the node begins nothing."""
        with self._tx.write("drain") as connection:
            now = self._tx.now(connection)
            found = self._locked(connection, node)
            if not found.drained_at:
                self._set(connection, node, drained_at=now, drained_by=by.name, drain_reason=reason)
                audit.write(connection, by.entry("node.drain", f"node/{node}", reason=reason), now)
            return self._counted(connection, node)[0]

    def undrain(self, node: str, by: Actor, reason: str) -> NodeSeen:
        """It takes work again."""
        with self._tx.write("undrain") as connection:
            found = self._locked(connection, node)
            if found.drained_at:
                self._set(connection, node, drained_at=0, drained_by="", drain_reason="")
                entry = by.entry("node.undrain", f"node/{node}", reason=reason)
                audit.write(connection, entry, self._tx.now(connection))
                self._tx.ring(connection)
            return self._counted(connection, node)[0]

    def forget(self, node: str, by: Actor, reason: str) -> None:
        """Remove one that is gone and that nothing waits for."""
        with self._tx.write("forget-node") as connection:
            check_forget(self._locked(connection, node))
            connection.execute(delete(node_table).where(node_table.c.node == node))
            entry = by.entry("node.forget", f"node/{node}", reason=reason)
            audit.write(connection, entry, self._tx.now(connection))

    def _set(self, connection: Connection, node: str, **values: object) -> None:
        connection.execute(update(node_table).where(node_table.c.node == node).values(**values))

    def _locked(self, connection: Connection, node: str) -> NodeSeen:
        """The node, after every claim of it that had begun has ended, and before the next one begins."""
        locked = select(node_table.c.node).where(node_table.c.node == node).with_for_update()
        if connection.execute(locked).first() is None:
            raise unknown(node)
        return self._counted(connection, node)[0]

    def read(self, connection: Connection, node: str | None = None) -> builtins.list[NodeSeen]:
        """All nodes, or one, inside somebody's transaction; without what it would take to count."""
        wanted = select(node_table).order_by(node_table.c.node)
        if node is not None:
            wanted = wanted.where(node_table.c.node == node)
        now = self._tx.now(connection)
        return [_seen(row, now) for row in connection.execute(wanted)]

    def _counted(self, connection: Connection, node: str | None = None) -> builtins.list[NodeSeen]:
        running, begun, bound = _standing_work(connection, self._tx.now(connection))
        living = connection.execute(select(service.c.node, func.count()).group_by(service.c.node)).all()
        services = {row.node: row[1] for row in living}
        return [
            replace(
                seen,
                services=services.get(seen.node, 0),
                running=running[seen.node],
                begun=begun[seen.node],
                bound=bound[seen.node],
            )
            for seen in self.read(connection, node)
        ]

    def list(self) -> list[NodeSeen]:
        """All nodes ever seen, by name."""
        with self._tx.read() as connection:
            return self._counted(connection)


def _seen(row: Row[Any], now: int) -> NodeSeen:
    return NodeSeen(
        node=row.node,
        seen_at=row.seen_at,
        age_ms=max(0, now - row.seen_at),
        version=row.version,
        first_seen_at=row.first_seen_at,
        drained_at=row.drained_at,
        drained_by=row.drained_by,
        drain_reason=row.drain_reason,
        report=NodeReport.load(json.loads(row.report)) if row.report else NodeReport(),
    )


def _standing_work(connection: Connection, now: int) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """By node: operations that it holds, that it has begun and not ended, and that only it can do."""
    started = connection.execute(
        select(operation.c.owner, operation.c.node, operation.c.lease_until).where(held(operation))
    ).all()
    waiting = connection.execute(
        select(operation.c.node, func.count()).where(state_is(operation, State.QUEUED)).group_by(operation.c.node)
    ).all()
    running, begun = Counter[str](), Counter[str]()
    bound = Counter({row.node: row[1] for row in waiting})
    for owner, node, lease_until in started:
        holder = node_of(owner)
        running[holder] += lease_until >= now
        begun[node or holder] += 1
        bound[node] += 1
    return running, begun, bound


def node_of(owner: str | None) -> str:
    """The node of a holder, whose name its identity begins with."""
    return (owner or "").partition("|")[0]
