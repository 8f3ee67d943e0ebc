"""Domain changes as SQL, inside the transaction of whoever settles or journals them.

Apart from settling because each change has rules of its own, above all how packs are counted: a pack is
condemned by the same transaction that takes its last reference, and a condemned pack is never used again. What a
deletion condemns rests until whoever began to read it before has ended; no manifest rests longer than its packs.
Errors raised here roll the whole transaction back.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, case, delete, insert, literal_column, select, update

from domain.errors import Damaged, Refused, WrongTenant
from domain.operation import Operation, State
from domain.outcome import (
    AbandonExport,
    AbandonSnapshot,
    AddSnapshot,
    AdoptSnapshot,
    Change,
    DiscardPacks,
    ExtendExport,
    HoldVersion,
    MarkCopyDamaged,
    MarkCorrupt,
    MarkDeleting,
    MarkSound,
    RemoveSnapshot,
    SaveExport,
    SavePin,
    SaveRecord,
    SaveService,
    SaveVersion,
    SetPacks,
)
from domain.schedule_changes import PauseSchedule, RemoveSchedule, SaveDrill, SaveSchedule
from domain.service import Service
from domain.snapshot import Snapshot, SnapshotState
from storage.sql import verdicts
from storage.sql.copies import forget, mark_damaged, owe_again, under_way
from storage.sql.exports import Discard, drop_exports, extend_export, save_export
from storage.sql.recovering import adopt
from storage.sql.rows import label_values, service_values, snapshot_values
from storage.sql.scheduling import pause_schedule, remove_schedule, save_drill, save_schedule
from storage.sql.sealed import Vault
from storage.sql.services import claimed_by_another
from storage.sql.states import beside
from storage.sql.tables import garbage, operation, pack, service, snapshot, snapshot_label, snapshot_pack
from storage.sql.transactions import Transactions
from storage.sql.versions import hold_version, save_record, save_version

#: How long a prefix of left-overs rests before it is collected, so that the last writes of a holder
#: that lost its lease have arrived by then.
LATE_WRITES_MS = 15 * 60_000

#: Order of collection: nothing may name what is gone. Packs that a repack has replaced are named by what replicas hold
#: until the snapshot is copied anew.
MANIFESTS_TURN, PACKS_TURN, REPLACED_TURN = 0, 1, 2

_LIVE: ColumnElement[str] = literal_column("'LIVE'")
_CONDEMNED: ColumnElement[str] = literal_column("'CONDEMNED'")


def apply(
    tx: Transactions, connection: Connection, vault: Vault, doing: Operation, changes: Sequence[Change], now: int
) -> None:
    """Write the changes in order. `doing` is the operation that makes them."""
    for change in changes:
        match change:
            case SaveService(record):
                _save_service(tx, connection, vault, doing, record, now)
            case AddSnapshot(record, pack_prefix):
                _add_snapshot(connection, record, now)
                if pack_prefix:
                    discard_prefix(tx, connection, pack_prefix, now)
            case AdoptSnapshot(record):
                _adopt(tx, connection, record, now)
            case MarkDeleting(snapshot_id):
                _mark_deleting(tx, connection, snapshot_id, now)
            case MarkCorrupt() | MarkSound():
                verdicts.put_down(connection, change, now)
            case MarkCopyDamaged():
                mark_damaged(tx, connection, change, now)
            case SavePin(snapshot_id, reason):
                connection.execute(
                    update(snapshot).where(snapshot.c.snapshot_id == snapshot_id).values(pinned=reason, updated_at=now)
                )
            case SetPacks():
                _set_packs(tx, connection, change, now)
            case DiscardPacks(pack_prefix):
                discard_prefix(tx, connection, pack_prefix, now)
            case RemoveSnapshot(snapshot_id):
                for table in (snapshot_label, snapshot_pack, snapshot):
                    connection.execute(delete(table).where(table.c.snapshot_id == snapshot_id))
                forget(connection, snapshot_id, now)
            case SaveExport(archive):
                save_export(connection, archive, discarding(tx, connection, now))
            case ExtendExport():
                extend_export(connection, change)
            case AbandonExport(object_key):
                _discard(tx, connection, [object_key], PACKS_TURN, now, rest_ms=LATE_WRITES_MS)
            case SaveVersion():
                save_version(tx, connection, vault, change, now)
            case SaveRecord(upgraded):
                save_record(tx, connection, upgraded, now)
            case HoldVersion():
                hold_version(tx, connection, doing, change, now)
            case SaveSchedule():
                save_schedule(tx, connection, doing, change, now)
            case RemoveSchedule():
                remove_schedule(connection, doing, change, now)
            case PauseSchedule():
                pause_schedule(connection, doing, change, now)
            case SaveDrill():
                save_drill(connection, change, now)
            case AbandonSnapshot(manifest_key, pack_prefix):
                if not _is_listed(connection, manifest_key):  # a rebuild has found it sooner
                    _discard(tx, connection, [manifest_key], MANIFESTS_TURN, now, rest_ms=LATE_WRITES_MS)
                discard_prefix(tx, connection, pack_prefix, now)


def _save_service(
    tx: Transactions, connection: Connection, vault: Vault, doing: Operation, record: Service, now: int
) -> None:
    if claimed_by_another(connection, record.node, record.directory, record.service_id):
        raise Refused(
            f"directory {record.directory} on node {record.node} overlaps that of another service",
            code="directory-taken",
            next_step="give each service a directory of its own",
        )
    values = service_values(record, now, vault)
    saved = connection.execute(
        tx.insert(service)
        .values(values)
        .on_conflict_do_update(
            index_elements=[service.c.service_id], set_=values, where=service.c.tenant_id == record.tenant_id
        )
        .returning(service.c.service_id)
    ).first()
    if saved is None:
        raise WrongTenant(f"service {record.service_id} exists and does not belong to tenant {record.tenant_id}")
    # What is queued for the directory goes where the directory is.
    connection.execute(
        update(operation)
        .where(
            operation.c.service_id == record.service_id,
            operation.c.local == literal_column("1"),
            operation.c.op_id != doing.op_id,
            beside(operation.c.state) == State.QUEUED.value,
        )
        .values(node=record.node or "", updated_at=now)
    )


def _add_snapshot(connection: Connection, record: Snapshot, now: int) -> None:
    connection.execute(insert(snapshot).values(snapshot_values(record, now)))
    if labels := label_values(record):
        connection.execute(insert(snapshot_label), labels)
    keys = sorted(set(record.packs))
    if keys:
        connection.execute(
            insert(snapshot_pack), [{"snapshot_id": record.snapshot_id, "pack_key": key} for key in keys]
        )
        _count_packs(connection, record.snapshot_id, keys, now)


def _adopt(tx: Transactions, connection: Connection, record: Snapshot, now: int) -> None:
    if not adopt(tx, connection, record, now):
        raise Refused(
            f"snapshot {record.snapshot_id} is in the catalogue already, is being made, or is being deleted",
            code="snapshot-known",
        )


def _count_packs(connection: Connection, snapshot_id: str, keys: list[str], now: int) -> None:
    """One reference on each pack: its own are new, all others must be live still."""
    own = [key for key in keys if f"/{snapshot_id}/" in key]
    reused = len(keys) - len(own)
    if reused:  # first, while the snapshot's own packs have no rows yet
        needed = select(snapshot_pack.c.pack_key).where(snapshot_pack.c.snapshot_id == snapshot_id)
        counted = connection.execute(
            update(pack).where(pack.c.pack_key.in_(needed), pack.c.state == _LIVE).values(refs=pack.c.refs + 1)
        ).rowcount
        if counted != reused:
            raise Damaged(
                f"snapshot {snapshot_id} reuses {reused - counted} packs that were deleted while it was taken",
                code="pack-condemned",
                next_step="take the snapshot again",
            )
    if own:
        connection.execute(
            insert(pack), [{"pack_key": key, "refs": 1, "state": "LIVE", "created_at": now} for key in own]
        )


def _is_listed(connection: Connection, manifest_key: str) -> bool:
    """By the id that the key ends with: there is no index of keys."""
    row = select(snapshot.c.snapshot_id).where(
        snapshot.c.snapshot_id == manifest_key.rpartition("/")[0].rpartition("/")[2],
        snapshot.c.manifest_key == manifest_key,
        snapshot.c.state != SnapshotState.DELETING.value,
    )
    return connection.execute(row).first() is not None


def _mark_deleting(tx: Transactions, connection: Connection, snapshot_id: str, now: int) -> None:
    marked = connection.execute(
        update(snapshot)
        .where(snapshot.c.snapshot_id == snapshot_id, snapshot.c.state != SnapshotState.DELETING.value)
        .values(state=SnapshotState.DELETING.value, updated_at=now)
        .returning(snapshot.c.manifest_key)
    ).first()
    if marked is None:
        return  # done before, by an earlier attempt
    rest_ms = max(tx.readers_ms, LATE_WRITES_MS if under_way(connection, now) else 0)
    _discard(tx, connection, [marked.manifest_key], MANIFESTS_TURN, now, rest_ms=rest_ms)
    drop_exports(connection, [snapshot_id], discarding(tx, connection, now))
    needed = select(snapshot_pack.c.pack_key).where(snapshot_pack.c.snapshot_id == snapshot_id)
    _release(tx, connection, pack.c.pack_key.in_(needed), now, rest_ms=rest_ms)


def _release(
    tx: Transactions,
    connection: Connection,
    which: ColumnElement[bool],
    now: int,
    *,
    rest_ms: int,
    turn: int = PACKS_TURN,
) -> None:
    """One reference less on those packs; the ones that had no other are condemned."""
    # One statement: between two, another delete of a shared pack could take the last reference.
    counted = connection.execute(
        update(pack)
        .where(which, pack.c.state == _LIVE)
        .values(refs=pack.c.refs - 1, state=case((pack.c.refs <= 1, _CONDEMNED), else_=pack.c.state))
        .returning(pack.c.pack_key, pack.c.refs)
    ).all()
    condemned = [row.pack_key for row in counted if row.refs == 0]
    _discard(tx, connection, condemned, turn, now, rest_ms=rest_ms)


def _set_packs(tx: Transactions, connection: Connection, change: SetPacks, now: int) -> None:
    kept = connection.execute(
        select(snapshot.c.snapshot_id)
        .where(snapshot.c.snapshot_id == change.snapshot_id, snapshot.c.state != SnapshotState.DELETING.value)
        .with_for_update()
    ).first()
    if kept is None:
        return
    mine = snapshot_pack.c.snapshot_id == change.snapshot_id
    had, wanted = set(connection.scalars(select(snapshot_pack.c.pack_key).where(mine))), set(change.packs)
    for key in sorted(wanted - had):
        counted = connection.execute(
            tx.insert(pack)
            .values(pack_key=key, refs=1, state="LIVE", created_at=now)
            .on_conflict_do_update(
                index_elements=[pack.c.pack_key], set_={"refs": pack.c.refs + 1}, where=pack.c.state == _LIVE
            )
            .returning(pack.c.pack_key)
        ).first()
        if counted is None:
            raise Damaged(f"pack {key} of snapshot {change.snapshot_id} was condemned", code="pack-condemned")
        connection.execute(insert(snapshot_pack).values(snapshot_id=change.snapshot_id, pack_key=key))
    if change.replace:
        owe_again(connection, change.snapshot_id, now)
    for key in sorted(had - wanted) if change.replace else ():
        connection.execute(delete(snapshot_pack).where(mine, snapshot_pack.c.pack_key == key))
        # At least as long as a late write may take: the snapshot lives, and looking at it must not find it damaged.
        rest_ms = max(tx.readers_ms, LATE_WRITES_MS)
        _release(tx, connection, pack.c.pack_key == key, now, rest_ms=rest_ms, turn=REPLACED_TURN)


def discarding(tx: Transactions, connection: Connection, now: int) -> Discard:
    """A function that turns keys of archives into garbage."""
    return lambda keys: _discard(tx, connection, keys, PACKS_TURN, now)


def _discard(
    tx: Transactions, connection: Connection, keys: Sequence[str], turn: int, now: int, *, rest_ms: int = 0
) -> None:
    if keys:
        connection.execute(
            tx.insert(garbage).on_conflict_do_nothing(),
            [
                {"object_key": key, "is_prefix": 0, "turn": turn, "created_at": now, "not_before": now + rest_ms}
                for key in keys
            ],
        )


def discard_prefix(tx: Transactions, connection: Connection, prefix: str, now: int) -> None:
    """Everything beneath the prefix that is not a live pack is to be removed, a while later."""
    connection.execute(
        tx.insert(garbage)
        .values(object_key=prefix, is_prefix=1, turn=PACKS_TURN, created_at=now, not_before=now + LATE_WRITES_MS)
        .on_conflict_do_nothing()
    )
