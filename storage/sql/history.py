"""Letting go of operations that ended long ago, as SQL.

Apart from the ledger because it is about rows that no claim can reach any more. What is chosen is asked again by
the statement that removes it, so a dead letter or an event that appears in between keeps its operation.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, or_, select

from domain.contracts import Pruned
from domain.operation import TERMINAL
from storage.sql.states import beside
from storage.sql.tables import dead_letter, operation, outbox, snapshot, step
from storage.sql.transactions import Transactions
from storage.sql.upgrade_tables import upgrade_record

_ENDED = or_(*(beside(operation.c.state) == state.value for state in sorted(TERMINAL)))


class SqlHistory:
    """The port `History`. Each batch is found by walking on from where the one before has ended, and before anything
    is locked."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def prune(self, keep_ms: int, limit: int, *, after: int = 0, dry_run: bool = False) -> Pruned:
        """See the port."""
        with self._tx.read() as connection:
            before = self._tx.now(connection) - keep_ms
            chosen = select(operation.c.op_id, operation.c.seq).where(operation.c.seq > after, _over(before))
            chosen = chosen.order_by(operation.c.seq).limit(limit)
            if dry_run:
                return _counted(connection, chosen)
            rows = connection.execute(chosen).all()
        if not rows:
            return Pruned()
        with self._tx.write("prune-history") as connection:
            mine = select(operation.c.op_id).where(operation.c.op_id.in_([row.op_id for row in rows]), _over(before))
            gone = list(connection.scalars(mine))
            steps = connection.execute(delete(step).where(step.c.op_id.in_(gone))).rowcount
            events = connection.execute(delete(outbox).where(outbox.c.op_id.in_(gone))).rowcount
            connection.execute(delete(operation).where(operation.c.op_id.in_(gone)))
        return Pruned(len(gone), steps, events, rows[-1].seq if len(rows) == limit else 0)

    def prune_events(self, keep_ms: int, limit: int, *, after: int = 0, dry_run: bool = False) -> Pruned:
        """See the port."""
        with self._tx.read() as connection:
            before = self._tx.now(connection) - keep_ms
            chosen = select(outbox.c.seq).where(outbox.c.seq > after, _told(before)).order_by(outbox.c.seq).limit(limit)
            if dry_run:
                count = select(func.count()).select_from(chosen.subquery())
                return Pruned(events=connection.execute(count).scalar_one())
            seqs = list(connection.scalars(chosen))
        if not seqs:
            return Pruned()
        with self._tx.write("prune-events") as connection:
            gone = connection.execute(delete(outbox).where(outbox.c.seq.in_(seqs), _told(before))).rowcount
        return Pruned(events=gone, after=seqs[-1] if len(seqs) == limit else 0)


def _told(before: int) -> ColumnElement[bool]:
    """An event that was sent before that moment, about no operation and no dead letter that is open."""
    mine = outbox.c.op_id
    return and_(
        outbox.c.sent_at < before,
        ~exists().where(operation.c.op_id == mine),
        ~exists().where(dead_letter.c.dead_letter_id == mine, dead_letter.c.resolution.is_(None)),
    )


def _over(before: int) -> ColumnElement[bool]:
    """Ended before that moment, and of use to nobody."""
    mine = operation.c.op_id
    return and_(
        _ENDED,
        operation.c.updated_at < before,
        ~exists().where(dead_letter.c.op_id == mine),
        ~exists().where(snapshot.c.snapshot_id == mine),
        ~exists().where(upgrade_record.c.op_id == mine),
        mine.not_in(select(dead_letter.c.replay_op_id).where(dead_letter.c.replay_op_id.is_not(None))),
        ~exists().where(outbox.c.op_id == mine, outbox.c.sent_at.is_(None)),
    )


def _counted(connection: Connection, chosen: Select[Any]) -> Pruned:
    op_ids = chosen.subquery()

    def count(column: Any) -> int:
        found: int = connection.execute(select(func.count()).where(column.in_(select(op_ids.c.op_id)))).scalar_one()
        return found

    return Pruned(count(operation.c.op_id), count(step.c.op_id), count(outbox.c.op_id))
