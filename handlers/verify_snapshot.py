"""Look at a stored snapshot and say whether it can be restored; on any node, beside whatever the service does.

    {"snapshot_id": "0192f0c1-…", "level": "hash"}

Levels: `exists` (every object is there with its size), `hash` (every byte is read and compared), `restore-test`
(the whole tree is built on the node and removed again; needs room for it). What is damaged makes the snapshot
`corrupt` and the operation fail, with the files that are affected; one that was corrupt and reads well at
`hash` or beyond is available again. A store that does not answer is waited for and proves nothing.
With `replica` the copy of that name is looked at instead: if it is damaged the operation fails too, and the copy is
made anew; the snapshot itself stays what it was.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import pydantic

from domain.context import Context
from domain.contracts import Archive
from domain.errors import Damaged, KeyUnreadable, WrongTenant
from domain.outcome import Item, MarkCopyDamaged, MarkCorrupt, MarkSound, Outcome
from domain.restore import RestoreMode
from domain.snapshot import Snapshot
from domain.standing import Use
from domain.subscription import Subscription
from domain.verification import Fault, Verified, VerifyLevel
from handlers import Id, Name, Payload

#: Items of an outcome; an event has to stay small.
MOST_FAULTS, MOST_FILES = 20, 200
#: Stands for the live directory that a restore-test does not have; nothing is ever put there.
SCRATCH = "restore-test"


class VerifySnapshot(Payload):
    """Which snapshot, and how closely to look."""

    snapshot_id: Id
    level: Annotated[VerifyLevel, pydantic.Field(strict=False)] = VerifyLevel.HASH
    replica: Name | None = None


def handle(command: VerifySnapshot, context: Context) -> Outcome:
    """Look, and put down what was found."""
    snapshot = context.snapshot(command.snapshot_id, Use.VERIFY)
    if snapshot.service_id != context.operation.service_id:
        raise WrongTenant(f"snapshot {snapshot.snapshot_id} does not belong to the subject of this message")
    archive = context.archive.replica(command.replica) if command.replica else context.archive
    found = archive.verify(snapshot.manifest_key, command.level, context.watch)
    if found.sound and command.level is VerifyLevel.RESTORE_TEST and "data" in snapshot.include:
        found = _restored(found, snapshot, archive, context)
    if command.replica:
        return _copy_found(found, snapshot, command.replica)
    return _sound(found, snapshot) if found.sound else _damaged(found, snapshot)


def _copy_found(found: Verified, snapshot: Snapshot, replica: str) -> Outcome:
    """A copy says nothing about the primary's objects."""
    figures = _figures(found, snapshot) | {"replica": replica}
    name = f"the copy of snapshot {snapshot.snapshot_id} in replica {replica}"
    if found.sound:
        return Outcome.succeeded(f"{name} is sound at level {found.level}", **figures)
    sentence = f"{name} is damaged: {found.faults[0].sentence}"
    error = Damaged(sentence, code="verify-failed", next_step="it is copied anew; look at the replica's disks")
    items = tuple(Item(fault.key, "damaged-object", fault.sentence) for fault in found.faults[:MOST_FAULTS])
    mark = MarkCopyDamaged(snapshot.snapshot_id, replica, sentence)
    return dataclasses.replace(Outcome.failed(error), changes=(mark,), items=items, figures=figures)


def _restored(found: Verified, snapshot: Snapshot, archive: Archive, context: Context) -> Verified:
    """Build the tree as a restore would, and remove it again."""
    trees, op_id = context.trees, context.operation.op_id
    target = trees.resolve(SCRATCH)
    trees.discard(op_id)  # what an earlier attempt may have left
    context.after_settle.append(lambda: trees.discard(op_id))
    try:
        staged = archive.stage(
            snapshot.manifest_key, target, trees.staging_path(op_id, target), RestoreMode.REPLACE, context.watch
        )
    except Damaged as error:
        return dataclasses.replace(found, faults=(Fault(snapshot.manifest_key, str(error)),))
    if staged.key_fault:
        raise KeyUnreadable(staged.fault)
    if staged.read_from:  # a replica helped out, which is no merit of the primary
        return dataclasses.replace(found, faults=(Fault(snapshot.manifest_key, staged.fault),))
    return found


def _sound(found: Verified, snapshot: Snapshot) -> Outcome:
    return Outcome.succeeded(
        f"snapshot {snapshot.snapshot_id} is sound at level {found.level}",
        changes=(MarkSound(snapshot.snapshot_id, found.level.value, snapshot.changed_at),),
        **_figures(found, snapshot),
    )


def _damaged(found: Verified, snapshot: Snapshot) -> Outcome:
    how_many = f", {found.affected_files} files are affected" if found.affected_files else ""
    sentence = f"snapshot {snapshot.snapshot_id} is damaged: {found.faults[0].sentence}{how_many}"
    items = [Item(fault.key, "damaged-object", fault.sentence) for fault in found.faults[:MOST_FAULTS]]
    items += [Item(name, "affected-file", "cannot be restored") for name in found.affected[:MOST_FILES]]
    failed = Outcome.failed(
        Damaged(
            sentence,
            code="verify-failed",
            next_step="take a new snapshot of the service now; keep this one for inspection",
        )
    )
    mark = MarkCorrupt(snapshot.snapshot_id, sentence, found.level.value)
    return dataclasses.replace(failed, changes=(mark,), items=tuple(items), figures=_figures(found, snapshot))


def _figures(found: Verified, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "snapshot_id": snapshot.snapshot_id,
        "level": found.level.value,
        "packs": found.packs,
        "bytes_read": found.bytes_read,
        "files": found.files,
        "faults": len(found.faults),
        "affected_files": found.affected_files,
    }


subscription = Subscription(
    VerifySnapshot, handle, exclusive=False, builds=lambda payload: payload.level is VerifyLevel.RESTORE_TEST
)
