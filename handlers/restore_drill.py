"""Restore a snapshot to a scratch place, measure how long that takes, and remove it again; on any node.

    {"node": "web-2", "goal_seconds": 3600}

Without `snapshot_id` it is the service's newest good one. The tree is built as a restore would build it, all of it
from the store, because a recovery may have nothing else; sources are fetched and verified, and loaded nowhere. The
service goes on meanwhile. A snapshot that cannot be restored makes the drill fail and, when it is damaged, becomes
`corrupt`. One that takes longer than `goal_seconds` is told as not complete. With `verify` the tree is read again
from the disk, which counts as recovery time.
"""

from __future__ import annotations

import dataclasses

import pydantic

from domain.context import Context
from domain.drill import Drill
from domain.errors import Damaged, NotFound, WrongTenant
from domain.operation import State
from domain.outcome import Change, Item, MarkCorrupt, MarkSound, Outcome
from domain.recovery_point import in_words
from domain.restore import WHOLE, RestoreMode, Selection
from domain.schedule_changes import SaveDrill
from domain.snapshot import Snapshot
from domain.standing import Use
from domain.subscription import Subscription
from domain.verification import VerifyLevel
from handlers import Id, Name, Payload

#: Stand for live directories that a drill does not have; nothing is ever put there.
SCRATCH, SOURCES = "restore-drill", "restore-drill-sources"


class RestoreDrill(Payload):
    """Which snapshot, where, and how long it may take."""

    snapshot_id: Id | None = None
    node: Name | None = None
    goal_seconds: int = pydantic.Field(default=0, ge=0, le=10_000_000)
    verify: bool = False


def handle(command: RestoreDrill, context: Context) -> Outcome:
    """Restore, measure, remove, tell."""
    snapshot = _snapshot(command, context)
    began = context.clock.boottime()
    try:
        size, files = _restored(command, context, snapshot)
    except Damaged as error:
        marked = MarkCorrupt(snapshot.snapshot_id, str(error), VerifyLevel.RESTORE_TEST.value)
        return dataclasses.replace(
            Outcome.failed(error), changes=(marked,), figures={"snapshot_id": snapshot.snapshot_id}
        )
    took = max(1, round((context.clock.boottime() - began) * 1000))
    drill = dataclasses.replace(
        _drill(command, context, snapshot.snapshot_id), passed=True, recovery_ms=took, bytes=size, files=files
    )
    sentence = f"snapshot {snapshot.snapshot_id} was restored to a scratch place in {took / 1000:.1f} s"
    sound = MarkSound(snapshot.snapshot_id, VerifyLevel.RESTORE_TEST.value, snapshot.changed_at)
    slow = f"it took {took / 1000:.1f} s and should take {in_words(command.goal_seconds)} at most"
    return Outcome.succeeded(
        sentence,
        changes=(SaveDrill(drill), sound),
        items=() if drill.within_goal else (Item("recovery-time", "slower-than-goal", slow),),
        snapshot_id=snapshot.snapshot_id,
        recovery_seconds=took / 1000,
        bytes=size,
        files=files,
        goal_seconds=command.goal_seconds,
        node=context.node,
    )


def _restored(command: RestoreDrill, context: Context, snapshot: Snapshot) -> tuple[int, int]:
    """Bytes and files; every attempt begins anew, or the time would be that of the last part."""
    trees, op_id = context.trees, context.operation.op_id
    trees.discard(op_id)
    context.after_settle.append(lambda: trees.discard(op_id))
    size = files = 0
    for part, place in (("data", SCRATCH), ("sources", SOURCES)):
        if part not in snapshot.include:
            continue
        names = [one.name for one in context.archive.read(snapshot.manifest_key).sources] if part == "sources" else []
        target = trees.resolve(place)
        staged = context.archive.stage(
            snapshot.manifest_key,
            target,
            trees.staging_path(op_id, target),
            RestoreMode.REPLACE,
            context.watch,
            Selection(sources=tuple(names)) if names else WHOLE,
            verify=command.verify,
        )
        size, files = size + staged.bytes, files + staged.files
    return size, files


def _snapshot(command: RestoreDrill, context: Context) -> Snapshot:
    service = context.service()
    chosen = command.snapshot_id or _newest(context)
    if not chosen:
        raise NotFound(
            f"service {service.service_id} has no snapshot that could be restored",
            code="snapshot-not-found",
            next_step=f"`backstay snapshots create --service {service.service_id}` makes one",
        )
    snapshot = context.snapshot(chosen, Use.VERIFY)
    if snapshot.service_id != service.service_id:
        raise WrongTenant(f"snapshot {snapshot.snapshot_id} does not belong to the subject of this message")
    return snapshot


def _newest(context: Context) -> str:
    found = context.catalogue.newest(context.operation.service_id)
    return found.snapshot_id if found else ""


def _drill(command: RestoreDrill, context: Context, snapshot_id: str) -> Drill:
    operation = context.operation
    return Drill(
        operation.op_id,
        operation.tenant_id,
        operation.service_id,
        snapshot_id,
        context.node,
        passed=False,
        goal_seconds=command.goal_seconds,
    )


def _closing(command: RestoreDrill, context: Context, outcome: Outcome) -> tuple[Change, ...]:
    """A drill that failed is on record as well; one that somebody stopped has shown nothing."""
    if outcome.state is not State.FAILED:
        return ()
    failed = _drill(command, context, command.snapshot_id or _newest(context))
    return (SaveDrill(dataclasses.replace(failed, reason=outcome.code or "")),)


subscription = Subscription(
    RestoreDrill,
    handle,
    closing=_closing,
    exclusive=False,
    builds=lambda payload: True,
    node=lambda payload: payload.node,
)
