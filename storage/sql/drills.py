"""What restore drills have shown. Read only: rows are written by settling.

Apart from operations because people ask what the newest drill of each service was, years later too.
"""

from __future__ import annotations

import builtins
from typing import Any

from sqlalchemy import Row, and_, func, or_, select, tuple_

from domain.drill import Drill
from storage.sql.schedule_tables import drill
from storage.sql.transactions import Transactions


class SqlDrills:
    """The port `Drills`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def list(
        self,
        tenant_id: str | None = None,
        service_id: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> builtins.list[Drill]:
        """See the port."""
        wanted = select(drill).order_by(drill.c.ended_at.desc(), drill.c.op_id.desc()).limit(limit)
        if tenant_id is not None:
            wanted = wanted.where(drill.c.tenant_id == tenant_id)
        if service_id is not None:
            wanted = wanted.where(drill.c.service_id == service_id)
        if before is not None:
            last = drill.alias("last")
            at = select(last.c.ended_at).where(last.c.op_id == before).scalar_subquery()
            wanted = wanted.where(or_(drill.c.ended_at < at, and_(drill.c.ended_at == at, drill.c.op_id < before)))
        with self._tx.read() as connection:
            return [_drill(row) for row in connection.execute(wanted)]

    def newest(self) -> builtins.list[Drill]:
        """See the port."""
        last = select(drill.c.service_id, func.max(drill.c.ended_at)).group_by(drill.c.service_id)
        wanted = select(drill).where(tuple_(drill.c.service_id, drill.c.ended_at).in_(last))
        with self._tx.read() as connection:
            rows = connection.execute(wanted.order_by(drill.c.service_id, drill.c.op_id)).all()
        return list({row.service_id: _drill(row) for row in rows}.values())


def _drill(row: Row[Any]) -> Drill:
    values = {name: getattr(row, name) for name in Drill.__dataclass_fields__}
    return Drill(**values | {"passed": bool(row.passed)})
