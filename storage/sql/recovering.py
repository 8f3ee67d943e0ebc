"""Taking a snapshot that lies in the store back into the catalogue.

Apart from the changes of operations because a rebuild does it too, for which there is none: the row is made anew
from the manifest. What the database still knows better stays as it is: a snapshot in any state, one that is being
deleted, one whose operation goes on.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, exists, insert, literal_column, select

from domain.errors import Damaged
from domain.operation import TERMINAL
from domain.snapshot import PROTECTS, Snapshot
from storage.sql.copies import owe_again
from storage.sql.rows import label_values, snapshot_values
from storage.sql.tables import garbage, operation, pack, snapshot, snapshot_label, snapshot_pack
from storage.sql.transactions import Transactions


def recover(tx: Transactions, record: Snapshot) -> bool:
    """Insert the row with its labels and count its packs, which must be in the store; False if it is not needed.

    Raises Damaged(code="pack-condemned") when the collector already has one of its packs.
    """
    with tx.write("recover") as connection:
        return adopt(tx, connection, record, tx.now(connection))


def adopt(tx: Transactions, connection: Connection, record: Snapshot, now: int) -> bool:
    """The same inside a transaction of somebody else's."""
    if _is_known(connection, record):
        return False
    added = connection.execute(
        tx.insert(snapshot)
        .values(snapshot_values(record, now))
        .on_conflict_do_nothing()
        .returning(snapshot.c.snapshot_id)
    ).first()
    if added is None:
        return False
    owe_again(connection, record.snapshot_id, now)  # its copies went with it, and rows of them may still be there
    if labels := label_values(record):
        connection.execute(insert(snapshot_label), labels)
    if keys := sorted(set(record.packs)):
        connection.execute(
            insert(snapshot_pack), [{"snapshot_id": record.snapshot_id, "pack_key": key} for key in keys]
        )
        _count(tx, connection, record.snapshot_id, keys, now)
    return True


def _is_known(connection: Connection, record: Snapshot) -> bool:
    # Of an operation that protects, the snapshot's id says nothing.
    makers = [record.snapshot_id, *(label.value for label in record.labels if label.name == PROTECTS)]
    unfinished = exists().where(
        operation.c.op_id.in_(makers), operation.c.state.not_in([state.value for state in TERMINAL])
    )
    deleted = exists().where(garbage.c.object_key == record.manifest_key)
    return bool(connection.execute(select(unfinished | deleted)).scalar_one())


def _count(tx: Transactions, connection: Connection, snapshot_id: str, keys: Sequence[str], now: int) -> None:
    """One more reference on each pack; a pack that no row knows is live again."""
    made = tx.insert(pack).values([{"pack_key": key, "refs": 1, "state": "LIVE", "created_at": now} for key in keys])
    counted = connection.execute(
        made.on_conflict_do_update(
            index_elements=[pack.c.pack_key],
            set_={"refs": pack.c.refs + 1},
            where=pack.c.state == literal_column("'LIVE'"),
        ).returning(pack.c.pack_key)
    ).all()
    if len(counted) != len(keys):
        raise Damaged(
            f"snapshot {snapshot_id} needs {len(keys) - len(counted)} packs that are being deleted",
            code="pack-condemned",
        )
