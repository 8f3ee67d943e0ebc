"""The index of snapshots, and what the store may forget. Never calls the store.

Apart from `changes`, which writes snapshots inside a settling transaction: here they are read, and garbage
rows are dropped once their objects are gone. A row points at objects, never the reverse, so this index
can be lost and rebuilt.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, case, delete, exists, func, literal_column, select

from domain.contracts import Garbage
from domain.snapshot import Export, Label, Snapshot
from domain.verification import READ_BACK
from storage.sql import exports
from storage.sql.changes import REPLACED_TURN, discarding
from storage.sql.copies import free
from storage.sql.finding import find_rows
from storage.sql.recovering import recover
from storage.sql.rows import snapshot as read_snapshot
from storage.sql.tables import garbage, pack, snapshot, snapshot_label, snapshot_pack
from storage.sql.transactions import Transactions

_AVAILABLE = snapshot.c.state == literal_column("'available'")
_LISTED = snapshot.c.state != literal_column("'deleting'")
_NEWEST_FIRST = (snapshot.c.taken_at.desc(), snapshot.c.snapshot_id.desc())
#: When somebody has last read the snapshot back; NULL when nobody ever did.
_READ_AT = case((snapshot.c.verified_level.in_(sorted(READ_BACK)), snapshot.c.verified_at))
#: Keys per statement, well below the parameter limit of either database.
_CHUNK = 500


class SqlCatalogue:
    """The port `Catalogue`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def get(self, snapshot_id: str) -> Snapshot | None:
        """The snapshot in any state, with its packs."""
        with self._tx.read() as connection:
            row = connection.execute(select(snapshot).where(snapshot.c.snapshot_id == snapshot_id)).first()
            return None if row is None else _whole(connection, row)

    def newest(self, service_id: str, part: str = "data") -> Snapshot | None:
        """See the port."""
        return self._newest(part, snapshot.c.service_id == service_id)

    def parent(self, service_id: str, part: str = "data") -> Snapshot | None:
        """See the port."""
        return self._newest(part, snapshot.c.service_id == service_id, ~_shares_with_corrupt(service_id))

    def newest_at(self, service_id: str, at: int) -> Snapshot | None:
        """See the port."""
        return self._newest("data", snapshot.c.service_id == service_id, snapshot.c.taken_at <= at)

    def _newest(self, part: str, *conditions: ColumnElement[bool]) -> Snapshot | None:
        holds = snapshot.c.has_data == 1 if part == "data" else snapshot.c.include.contains(f'"{part}"')
        wanted = select(snapshot).where(_LISTED, _AVAILABLE, holds, *conditions)
        with self._tx.read() as connection:
            row = connection.execute(wanted.order_by(*_NEWEST_FIRST).limit(1)).first()
            return None if row is None else _whole(connection, row)

    def find(
        self, tenant_id: str | None, service_ids: Sequence[str], labels: Sequence[Label], limit: int, before: str | None
    ) -> list[Snapshot]:
        """Snapshots that are not being deleted, newest first, without their packs."""
        with self._tx.read() as connection:
            rows = find_rows(connection, tenant_id, service_ids, labels, limit, before)
            labelled = _labels(connection, [row.snapshot_id for row in rows])
        return [read_snapshot(row, tuple(labelled[row.snapshot_id]), ()) for row in rows]

    def recover(self, record: Snapshot) -> bool:
        """See the port."""
        return recover(self._tx, record)

    def known_packs(self) -> set[str]:
        """See the port."""
        with self._tx.read() as connection:
            return set(connection.scalars(select(pack.c.pack_key)))

    def condemned(self) -> set[str]:
        """See the port."""
        with self._tx.read() as connection:
            return set(connection.scalars(select(garbage.c.object_key).where(garbage.c.is_prefix == 0)))

    def longest_unread(self, days: int, since: int) -> list[Snapshot]:
        """See the port."""
        read_back = func.coalesce(_READ_AT, snapshot.c.taken_at)
        with self._tx.read() as connection:
            total = connection.execute(select(func.count()).select_from(snapshot).where(_AVAILABLE)).scalar_one()
            done = connection.execute(
                select(func.count())
                .select_from(snapshot)
                .where(snapshot.c.verified_level.in_(sorted(READ_BACK)), snapshot.c.verified_at >= since)
            ).scalar_one()
            rows = connection.execute(
                select(snapshot)
                .where(_AVAILABLE, read_back <= self._tx.now(connection) - days * 86_400_000)
                .order_by(read_back, snapshot.c.snapshot_id)
                .limit(max(0, -(-total // days) - done))
            ).all()
        return [read_snapshot(row, (), ()) for row in rows]

    def least_read(self, service_id: str, percent: int) -> list[Snapshot]:
        """See the port."""
        of_service = (_LISTED, _AVAILABLE, snapshot.c.service_id == service_id)
        order = (func.coalesce(_READ_AT, 0), snapshot.c.taken_at, snapshot.c.snapshot_id)
        with self._tx.read() as connection:
            total = connection.scalar(select(func.count()).select_from(snapshot).where(*of_service)) or 0
            rows = connection.execute(
                select(snapshot).where(*of_service).order_by(*order).limit(-(-total * percent // 100))
            ).all()
        return [read_snapshot(row, (), ()) for row in rows]

    def export_of(self, snapshot_id: str) -> Export | None:
        """See the port."""
        return exports.export_of(self._tx, snapshot_id)

    def expire_exports(self) -> int:
        """See the port."""
        with self._tx.write("expire-exports") as connection:
            now = self._tx.now(connection)
            return exports.drop_expired(connection, now, discarding(self._tx, connection, now))

    def garbage(self, limit: int, replicas: Sequence[str] = ()) -> list[Garbage]:
        """See the port. What was replaced comes last, so that what waits is in nobody's way."""
        with self._tx.read() as connection:
            due = select(garbage).where(garbage.c.not_before <= self._tx.now(connection))
            due = due.order_by(garbage.c.turn, garbage.c.created_at, garbage.c.object_key)
            rows = list(connection.execute(due.where(garbage.c.turn < REPLACED_TURN).limit(limit)))
            if len(rows) < limit:
                replaced = connection.execute(due.where(garbage.c.turn == REPLACED_TURN)).all()
                rows += free(connection, replaced, replicas)[: limit - len(rows)]
        return [Garbage(row.object_key, bool(row.is_prefix), row.created_at, row.turn == 0) for row in rows]

    def live_packs(self, prefix: str) -> set[str]:
        """See the port."""
        wanted = select(pack.c.pack_key)
        if prefix:  # the column is compared byte by byte, so a prefix is a range of the primary key
            beyond = prefix[:-1] + chr(ord(prefix[-1]) + 1)
            wanted = wanted.where(pack.c.pack_key >= prefix, pack.c.pack_key < beyond)
        with self._tx.read() as connection:
            return set(connection.scalars(wanted))

    def forget_garbage(self, keys: Iterable[str]) -> None:
        """Drop the rows of objects that are gone, and the condemned packs among them."""
        gone = list(keys)
        for start in range(0, len(gone), _CHUNK):
            chunk = gone[start : start + _CHUNK]
            with self._tx.write("forget-garbage") as connection:
                connection.execute(delete(garbage).where(garbage.c.object_key.in_(chunk)))
                connection.execute(delete(pack).where(pack.c.pack_key.in_(chunk), pack.c.state == "CONDEMNED"))


def _whole(connection: Connection, row: Row[Any]) -> Snapshot:
    packs = connection.scalars(
        select(snapshot_pack.c.pack_key)
        .where(snapshot_pack.c.snapshot_id == row.snapshot_id)
        .order_by(snapshot_pack.c.pack_key)
    )
    return read_snapshot(row, tuple(_labels(connection, [row.snapshot_id])[row.snapshot_id]), tuple(packs))


def _labels(connection: Connection, snapshot_ids: list[str]) -> dict[str, list[Label]]:
    """The labels of each snapshot, in the order in which they were given."""
    found: defaultdict[str, list[Label]] = defaultdict(list)
    rows = connection.execute(
        select(snapshot_label)
        .where(snapshot_label.c.snapshot_id.in_(snapshot_ids))
        .order_by(snapshot_label.c.snapshot_id, snapshot_label.c.ordinal)
    )
    for row in rows:
        found[row.snapshot_id].append(Label(row.name, row.value))
    return found


def _shares_with_corrupt(service_id: str) -> ColumnElement[bool]:
    """Whether a pack of the snapshot is one of a corrupt snapshot of the service."""
    bad, mine, theirs = snapshot.alias(), snapshot_pack.alias(), snapshot_pack.alias()
    return exists(
        select(literal_column("1"))
        .select_from(
            bad.join(theirs, theirs.c.snapshot_id == bad.c.snapshot_id).join(mine, mine.c.pack_key == theirs.c.pack_key)
        )
        .where(
            bad.c.service_id == service_id,
            bad.c.state == literal_column("'corrupt'"),
            bad.c.state != literal_column("'deleting'"),  # which the index of a service's snapshots is about
            mine.c.snapshot_id == snapshot.c.snapshot_id,
        )
        .correlate(snapshot)
    )
