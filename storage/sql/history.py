"""Letting go of operations that ended long ago, as SQL.

Apart from the ledger because it is about rows that no claim can reach any more. What is chosen is asked again by
the statement that removes it, so a dead letter or an event that appears in between keeps its operation.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, func, literal_column, or_, select

from domain.contracts import Pruned
from domain.operation import TERMINAL
from storage.sql.tables import dead_letter, operation, outbox, snapshot, step
from storage.sql.transactions import Transactions
from storage.sql.upgrade_tables import upgrade_record

#: As literals, so that the planner sees the condition of the indexes.
_ENDED = or_(*(operation.c.state == literal_column(f"'{state.value}'") for state in sorted(TERMINAL)))


class SqlHistory:
    """The port `History`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def prune(self, keep_ms: int, limit: int, *, dry_run: bool = False) -> Pruned:
        """See the port."""
        with self._tx.read() as connection:
            before = self._tx.now(connection) - keep_ms
            chosen = select(operation.c.op_id).where(_over(before)).order_by(operation.c.seq).limit(limit)
            if dry_run:
                return _counted(connection, chosen)
            op_ids = list(connection.scalars(chosen))
        if not op_ids:
            return Pruned()
        with self._tx.write("prune-history") as connection:
            mine = select(operation.c.op_id).where(operation.c.op_id.in_(op_ids), _over(before))
            gone = list(connection.scalars(mine))
            steps = connection.execute(delete(step).where(step.c.op_id.in_(gone))).rowcount
            events = connection.execute(delete(outbox).where(outbox.c.op_id.in_(gone))).rowcount
            connection.execute(delete(operation).where(operation.c.op_id.in_(gone)))
        return Pruned(len(gone), steps, events)


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
