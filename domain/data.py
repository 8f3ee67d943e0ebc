"""Bringing the data of a snapshot into a live directory, as one step of an operation.

Apart from the handlers because restoring, rolling back and undoing a failed upgrade all do it. The tree is
staged and checked beside the live one, takes its place in one exchange that is recognised by its inode, and
the old one is kept until the outcome is durable.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from domain import fallback
from domain.bringing import bring_sources
from domain.context import Context
from domain.errors import NotFound
from domain.operation import Step, StepState
from domain.restore import RestoreMode
from domain.service import Service
from domain.snapshot import Snapshot
from domain.standing import Use


def bring(context: Context, step: Step, service: Service, snapshot: Snapshot) -> Step:
    """Carry out a planned step: afterwards the service's directory holds the snapshot's tree."""
    trees, op_id = context.trees, context.operation.op_id
    if step.state in (StepState.DONE, StepState.UNDONE):
        return step
    target = trees.resolve(service.directory)
    if step.state is StepState.PENDING:
        trees.check_exchange(target)
        staging = trees.staging_path(op_id, target)
        existed = not trees.is_absent(target)
        staged = context.archive.stage(snapshot.manifest_key, target, staging, RestoreMode.REPLACE, context.watch)
        request: dict[str, Any] = {
            "target": target,
            "staging": staging,
            "inode": staged.inode,
            "existed": existed,
            "files": staged.files,
            "bytes": staged.bytes,
            "warnings": list(staged.warnings),
        } | fallback.noted(staged)
        step = context.journal.start(replace(step, request=step.request | request))
    if "sources" in snapshot.include:
        bring_sources(context, service, snapshot)
    trees.swap(step.request["staging"], step.request["target"], step.request["inode"])
    step = context.journal.end(step, StepState.DONE)
    keep_until_settled(context)
    return step


def give_back(context: Context, step: Step) -> None:
    """Undo `bring`, if it happened: the old tree has its place again."""
    if step.state not in (StepState.INTENT, StepState.DONE):
        return
    request = step.request
    context.trees.swap_back(request["staging"], request["target"], request["inode"], existed=request["existed"])
    context.journal.end(step, StepState.UNDONE)
    keep_until_settled(context)


def keep_until_settled(context: Context) -> None:
    """What was set aside goes when the outcome is durable."""
    op_id = context.operation.op_id
    context.after_settle.append(lambda: context.trees.discard(op_id))


def snapshot_with_data(context: Context, snapshot_id: str, service_id: str, use: Use) -> Snapshot:
    """The snapshot, if it is of this service, holds data, and its state allows that use."""
    snapshot = context.snapshot(snapshot_id, use)
    if snapshot.service_id != service_id or "data" not in snapshot.include:
        raise NotFound(
            f"snapshot {snapshot_id} holds no data of service {service_id}",
            code="not-in-snapshot",
            next_step="roll back without data, or restore another snapshot's data afterwards",
        )
    return snapshot
