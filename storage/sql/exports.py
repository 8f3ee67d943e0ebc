"""Archives that snapshots were exported to: their rows, and what becomes of them when their time is over.

Apart from the catalogue because an archive can be made again at any time: losing one loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, case, delete, literal_column, select, update

from domain.errors import NotFound
from domain.outcome import ExtendExport
from domain.snapshot import Export
from storage.sql.replica_tables import export
from storage.sql.tables import snapshot
from storage.sql.transactions import Transactions

#: discard(keys): they become garbage, in the same transaction.
Discard = Callable[[Sequence[str]], None]


def export_of(tx: Transactions, snapshot_id: str) -> Export | None:
    """The archive that can be fetched now."""
    with tx.read() as connection:
        row = connection.execute(
            select(export).where(export.c.snapshot_id == snapshot_id, export.c.expires_at > tx.now(connection))
        ).first()
    if row is None:
        return None
    return Export(row.snapshot_id, row.tenant_id, row.object_key, row.bytes, row.sha256, row.expires_at)


def save_export(connection: Connection, record: Export, discard: Discard) -> None:
    """Write the row; the archive that it replaces is garbage. Raises NotFound when the snapshot was deleted while it
    was exported: then a plain archive would outlive it."""
    there = select(snapshot.c.snapshot_id).where(
        snapshot.c.snapshot_id == record.snapshot_id, snapshot.c.state != literal_column("'deleting'")
    )
    if connection.execute(there.with_for_update()).first() is None:
        raise NotFound(f"snapshot {record.snapshot_id} was deleted while it was exported", code="snapshot-not-found")
    drop_exports(connection, [record.snapshot_id], discard, besides=record.object_key)
    connection.execute(
        export.insert().values(
            snapshot_id=record.snapshot_id,
            tenant_id=record.tenant_id,
            object_key=record.object_key,
            bytes=record.bytes,
            sha256=record.sha256,
            expires_at=record.expires_at,
        )
    )


def extend_export(connection: Connection, change: ExtendExport) -> None:
    """Keep the archive longer, never shorter. Raises NotFound when it went, or was replaced, since it was found."""
    later = case((export.c.expires_at < change.expires_at, change.expires_at), else_=export.c.expires_at)
    same = (export.c.snapshot_id == change.snapshot_id, export.c.object_key == change.object_key)
    if connection.execute(update(export).where(*same).values(expires_at=later)).rowcount == 0:
        raise NotFound(
            f"the archive of snapshot {change.snapshot_id} went while it was to be kept longer",
            code="not-exported",
            next_step="export the snapshot again",
        )


def drop_exports(connection: Connection, snapshot_ids: Sequence[str], discard: Discard, *, besides: str = "") -> None:
    """Forget the archives of these snapshots; their objects are garbage."""
    gone = connection.scalars(
        delete(export).where(export.c.snapshot_id.in_(snapshot_ids)).returning(export.c.object_key)
    ).all()
    discard([key for key in gone if key != besides])


def drop_expired(connection: Connection, now: int, discard: Discard) -> int:
    """Forget the archives that have had their time, in one statement, so that none goes that is renewed meanwhile."""
    gone = connection.scalars(delete(export).where(export.c.expires_at <= now).returning(export.c.object_key)).all()
    discard(gone)
    return len(gone)
