"""How old the newest good snapshot of each service is, and telling when that is older than it may be.

Apart from the catalogue because it speaks of services, also of those without any snapshot. Nothing of it is stored but
which services were told of: a miss is told by whoever writes its row, and its end by whoever removes it.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, ScalarSelect, Select, delete, func, literal_column, select

from domain.contracts import Event
from domain.event import recovery_point_event, topic
from domain.recovery_point import RecoveryPoint
from storage.sql.ids import new_id
from storage.sql.outbox import tell
from storage.sql.schedule_tables import rpo_miss
from storage.sql.tables import service, snapshot
from storage.sql.transactions import Transactions

#: Changes that one call tells of; the rest is told by the next.
MOST_TOLD = 200


class SqlRecoveryPoints:
    """The port `RecoveryPoints`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def list(self, tenant_id: str | None = None, service_id: str | None = None) -> builtins.list[RecoveryPoint]:
        """See the port."""
        chosen: list[ColumnElement[bool]] = []
        if tenant_id is not None:
            chosen.append(service.c.tenant_id == tenant_id)
        if service_id is not None:
            chosen.append(service.c.service_id == service_id)
        with self._tx.read() as connection:
            return _points(connection, _wanted().where(*chosen), self._tx.now(connection))

    def of(self, service_ids: Sequence[str]) -> builtins.list[RecoveryPoint]:
        """See the port."""
        with self._tx.read() as connection:
            wanted = _wanted().where(service.c.service_id.in_(builtins.list(service_ids)))
            return _points(connection, wanted, self._tx.now(connection))

    def page(
        self, tenant_ids: Sequence[str] | None, limit: int, after: str | None = None, *, missed: bool = False
    ) -> builtins.list[RecoveryPoint]:
        """See the port."""
        wanted = _wanted().limit(limit)
        if tenant_ids is not None:
            wanted = wanted.where(service.c.tenant_id.in_(builtins.list(tenant_ids)))
        if after is not None:
            wanted = wanted.where(service.c.service_id > after)
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            if missed:  # as RecoveryPoint.missed has it
                since = func.coalesce(_newest_good(), service.c.rpo_since)
                wanted = wanted.where(service.c.rpo_seconds > 0, now - since > service.c.rpo_seconds * 1000)
            return _points(connection, wanted, now)

    def tell(self) -> tuple[int, int]:
        """See the port."""
        with self._tx.read() as connection:
            told = set(connection.scalars(select(rpo_miss.c.service_id)))
            goals = service.c.rpo_seconds > 0
            now = self._tx.now(connection)
            points = _points(
                connection, _wanted().where(goals | service.c.service_id.in_(select(rpo_miss.c.service_id))), now
            )
        missed = [point for point in points if point.missed and point.service_id not in told]
        met = [point for point in points if not point.missed and point.service_id in told]
        done = [self._told(point) for point in [*missed, *met][:MOST_TOLD]]
        return sum(done[: len(missed)]), sum(done[len(missed) :])

    def _told(self, point: RecoveryPoint) -> bool:
        """One change and its event, or nothing because somebody else was faster."""
        with self._tx.write("rpo-tell") as connection:
            event_id, now = new_id(), self._tx.now(connection)
            if point.missed:
                fresh = self._tx.insert(rpo_miss).values(service_id=point.service_id, episode=event_id, missed_at=now)
                episode = connection.scalar(fresh.on_conflict_do_nothing().returning(rpo_miss.c.episode))
            else:
                gone = delete(rpo_miss).where(rpo_miss.c.service_id == point.service_id)
                episode = connection.scalar(gone.returning(rpo_miss.c.episode))
            if episode is None:
                return False
            payload = recovery_point_event(point, point.missed, event_id)
            where = topic("rpo", "missed" if point.missed else "met", point.tenant_id)
            tell(connection, Event(event_id, episode, where, None, payload), now)
            return True


def _newest_good() -> ScalarSelect[Any]:
    return (
        select(func.max(snapshot.c.taken_at))
        .where(
            snapshot.c.service_id == service.c.service_id,
            snapshot.c.state != literal_column("'deleting'"),
            snapshot.c.state == literal_column("'available'"),
            snapshot.c.has_data == 1,
        )
        .scalar_subquery()
    )


def _wanted() -> Select[Any]:
    columns = (service.c.tenant_id, service.c.service_id, service.c.rpo_seconds, service.c.rpo_since)
    return select(*columns, _newest_good().label("newest_at")).order_by(service.c.service_id)


def _points(connection: Connection, wanted: Select[Any], now: int) -> list[RecoveryPoint]:
    return [
        RecoveryPoint(row.tenant_id, row.service_id, row.rpo_seconds, row.rpo_since, row.newest_at or 0, now)
        for row in connection.execute(wanted)
    ]
