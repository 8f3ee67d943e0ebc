"""What people and metrics ask about operations: lists, look-ups, counts, and why one is waiting.

Apart from the ledger because no worker needs it and none of it decides anything. The operations in lists
come with empty `data`: nobody who lists needs secrets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Text, and_, func, literal, or_, select

from domain.chronicle import Told
from domain.contracts import NodeSeen
from domain.edition import EDITION
from domain.node import ALL_KINDS, place_sentence
from domain.operation import TERMINAL, Operation, State
from storage.sql.capacity import held_by, held_kinds
from storage.sql.nodes import SqlNodes
from storage.sql.rows import closed_operation
from storage.sql.states import claimable, held, reserving, state_is, unfinished
from storage.sql.tables import dead_letter, operation, outbox
from storage.sql.transactions import Transactions


class Questions:
    """Read-only; may be shared between threads."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx, self._nodes = transactions, SqlNodes(transactions)

    def list_operations(
        self,
        *,
        tenant_id: str | None,
        service_id: str | None,
        states: Sequence[State],
        kinds: Sequence[str],
        limit: int,
        before: str | None,
    ) -> list[Operation]:
        """Newest first; `before` is the id of the last operation of the page before."""
        wanted = select(operation).order_by(operation.c.seq.desc()).limit(limit)
        if tenant_id is not None:
            wanted = wanted.where(operation.c.tenant_id == tenant_id)
        if service_id is not None:
            wanted = wanted.where(operation.c.service_id == service_id)
        if states:
            wanted = wanted.where(state_is(operation, *states))
        if kinds:
            wanted = wanted.where(operation.c.kind.in_(list(kinds)))
        if before is not None:
            last = operation.alias("last")
            wanted = wanted.where(operation.c.seq < select(last.c.seq).where(last.c.op_id == before).scalar_subquery())
        with self._tx.read() as connection:
            return [closed_operation(row) for row in connection.execute(wanted)]

    def find_by_message(self, source: str, message_id: str) -> Operation | None:
        """The operation that a message became."""
        with self._tx.read() as connection:
            row = connection.execute(
                select(operation).where(operation.c.source == source, operation.c.message_id == message_id)
            ).first()
        return None if row is None else closed_operation(row)

    def of_node(self, name: str, limit: int) -> list[Operation]:
        """Unfinished operations that are bound to a node, or that it has begun; oldest first."""
        prefix = literal(f"{name}|", Text)
        wanted = (
            select(operation)
            .where(
                claimable(operation),
                or_(
                    operation.c.node == name,
                    and_(held(operation), operation.c.node == "", held_by(operation, prefix)),
                ),
            )
            .order_by(operation.c.seq)
            .limit(limit)
        )
        with self._tx.read() as connection:
            return [closed_operation(row) for row in connection.execute(wanted)]

    def counts(self) -> dict[str, Any]:
        """Figures for metrics; ages in milliseconds. Keys: operations {(kind, state): n}, ready,
        oldest_queued_age, dead_letters, outbox_waiting, outbox_oldest_age."""
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            grouped = connection.execute(
                select(operation.c.kind, operation.c.state, func.count(), func.min(operation.c.created_at)).group_by(
                    operation.c.state, operation.c.kind
                )
            ).all()
            queued = [oldest for _, state, _, oldest in grouped if state == State.QUEUED.value]
            waiting, oldest_event = connection.execute(
                select(func.count(), func.min(outbox.c.created_at)).where(outbox.c.sent_at.is_(None))
            ).one()
            return {
                "operations": {(kind, state): count for kind, state, count, _ in grouped},
                "ready": connection.scalar(
                    select(func.count())
                    .select_from(operation)
                    .where(claimable(operation), operation.c.next_attempt_at <= now, operation.c.lease_until < now)
                ),
                "oldest_queued_age": max(0, now - min(queued)) if queued else 0,
                "dead_letters": connection.scalar(
                    select(func.count()).select_from(dead_letter).where(dead_letter.c.resolution.is_(None))
                ),
                "outbox_waiting": waiting,
                "outbox_oldest_age": max(0, now - oldest_event) if waiting else 0,
            }

    def told(self, op_id: str) -> list[Told]:
        """The events about an operation, oldest first."""
        wanted = select(outbox.c.topic, outbox.c.created_at, outbox.c.sent_at).where(outbox.c.op_id == op_id)
        with self._tx.read() as connection:
            return [Told(*row) for row in connection.execute(wanted.order_by(outbox.c.seq))]

    def waits_for(self, op_id: str) -> str:
        """One sentence: what has to happen before the operation goes on. "" if it does not exist."""
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            row = connection.execute(select(operation).where(operation.c.op_id == op_id)).first()
            if row is None:
                return ""
            asked = closed_operation(row)
            if asked.state in TERMINAL:
                return f"nothing: it has ended, {asked.state}"
            if asked.state is State.STUCK:
                return "a person: it could not be put back, and reserves its service"
            if asked.lease_until >= now:
                return f"its worker {asked.owner}, which holds it for {_seconds(asked.lease_until - now)} more"
            if row.edition > EDITION:
                return f"a node of a later release: it is of edition {row.edition}, and this program of {EDITION}"
            if asked.next_attempt_at > now:
                why = row.error_sentence or asked.error_code or "an earlier attempt failed"
                return f"its next attempt in {_seconds(asked.next_attempt_at - now)} ({why})"
            return _blocker(connection, asked) or _place(connection, self._nodes, asked, now)


def _blocker(connection: Connection, asked: Operation) -> str:
    """What reserves the service, or comes first in it; "" if nothing does."""
    if not asked.exclusive or asked.state is not State.QUEUED:
        return ""
    same = operation.c.service_id == asked.service_id
    first = connection.execute(select(operation).where(same, reserving(operation))).first()
    if first is None:
        first = connection.execute(
            select(operation)
            .where(same, unfinished(operation), operation.c.seq < asked.seq)
            .order_by(operation.c.seq)
            .limit(1)
        ).first()
    if first is None:
        return ""
    then = ", which needs a person" if first.state == State.STUCK.value else ""
    return f"operation {first.op_id} of the same service ({first.kind}, {first.state}){then}"


def _place(connection: Connection, nodes: SqlNodes, asked: Operation, now: int) -> str:
    """It is ready: who could take it."""
    if asked.node is not None:
        seen = next(iter(nodes.read(connection, asked.node)), None)
        return _full(connection, asked, seen, now) or place_sentence(asked.node, seen, asked.op_id)
    known = nodes.read(connection)
    if known and all(node.away or node.drained_at for node in known):
        away = sum(node.away for node in known)
        return f"a node that takes work: of {len(known)} known, {away} are away and {len(known) - away} drained"
    return "a free worker on any node"


def _full(connection: Connection, asked: Operation, seen: NodeSeen | None, now: int) -> str:
    """That the node has no slot left for this kind, or ""."""
    if seen is None or seen.away or not seen.report.slots:
        return ""
    held_now = held_kinds(connection, seen.node, now)
    for name, used in ((asked.kind, held_now.count(asked.kind)), (ALL_KINDS, len(held_now))):
        most = seen.report.slots.get(name)
        if most is not None and used >= most:
            return f"a free slot for {name} on node {seen.node}: {used} of {most} are taken"
    return ""


def _seconds(milliseconds: int) -> str:
    return f"{max(0, milliseconds) / 1000:.0f} s"
