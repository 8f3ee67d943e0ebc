"""Putting a snapshot's directory and sources in the place of what is there, for `restore-snapshot`.

Apart from the handler, which decides what is meant, and from `data.py`, where the same is a step of a saga. Everything
is staged and verified before anything is touched; sources come before the exchange, because that one can be undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from domain import fallback
from domain.bringing import begun, bring_sources
from domain.context import Context
from domain.contracts import Trees
from domain.errors import Refused
from domain.operation import Step, StepState
from domain.outcome import Item
from domain.resting import resting, resting_again, wake
from domain.restore import RestoreMode, Selection
from domain.securing import give_back, stage_and_secure
from domain.service import Service
from domain.snapshot import Snapshot

SWAP = "swap"
_FIGURES = ("files", "bytes", "fetched", "reused", "kept")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be restored, and how."""

    parts: tuple[str, ...]  # of "data" and "sources"; others do not matter here
    mode: RestoreMode
    selection: Selection
    directory: str | None  # of a copy; None: the service's own
    verify: bool  # read the tree again before it goes live
    safety: bool  # save sources before they are replaced, where a later failure could leave them so


def replace(
    wish: Wish, context: Context, service: Service, snapshot: Snapshot
) -> tuple[dict[str, int], tuple[Item, ...]]:
    """Directory and sources, while the service rests; figures and what is worth telling."""
    if not {"data", "sources"} & set(wish.parts):
        return {}, ()
    figures: dict[str, int] = {}
    items: tuple[Item, ...] = ()
    with resting(context, "restore", service) as troubles:
        if "data" in wish.parts:
            figures, items = _with_directory(wish, context, service, snapshot)
        else:
            stage_and_secure(context, service, snapshot, safety=wish.safety, alone=True)
            figures = {"sources": bring_sources(context, service, snapshot)}
    return figures, (*troubles, *items)


def put_back(context: Context) -> None:
    """Undo it: sources hold what was saved of them, and the old tree has its place again. Raises when a source was
    restored of which nothing was saved, for nobody can undo that."""
    service = context.service()
    with resting_again(context, "restore", service):
        give_back(context, service)
        step = context.journal.find(SWAP)
        if step is not None:
            request = step.request
            context.trees.swap_back(request["staging"], request["target"], request["inode"], existed=request["existed"])
            context.journal.end(step, StepState.UNDONE)
    wake(context, "restore", service)
    context.trees.discard(context.operation.op_id)


def _with_directory(
    wish: Wish, context: Context, service: Service, snapshot: Snapshot
) -> tuple[dict[str, int], tuple[Item, ...]]:
    trees, journal = context.trees, context.journal
    _refuse_taken(wish, context, service)
    target = trees.resolve(wish.directory or service.directory)
    sources = "sources" in wish.parts
    step = journal.find(SWAP)
    if step is None:
        request = _staged(wish, context, service, snapshot, target)
        if sources:
            stage_and_secure(context, service, snapshot, safety=wish.safety, alone=False)
        _refuse_taken(wish, context, service)  # all that may have taken hours
        step = journal.begin(SWAP, request)
    figures: dict[str, int] = {name: step.request.get(name, 0) for name in _FIGURES}
    if not (sources and begun(context, service, snapshot.snapshot_id)):
        context.watch.check()
    if sources:
        figures["sources"] = bring_sources(context, service, snapshot)
    into_empty = wish.mode is RestoreMode.REFUSE_NON_EMPTY  # all before this may have taken hours
    trees.swap(step.request["staging"], step.request["target"], step.request["inode"], into_empty=into_empty)
    _end(context, step)
    warnings = tuple(Item(str(w), "restored-differently", str(w)) for w in step.request["warnings"])
    return figures, warnings


def _end(context: Context, step: Step) -> None:
    context.journal.end(step)
    op_id = context.operation.op_id
    context.after_settle.append(lambda: context.trees.discard(op_id))


def _staged(wish: Wish, context: Context, service: Service, snapshot: Snapshot, target: str) -> dict[str, Any]:
    """Build the tree beside the target; what the journal has to remember of it."""
    trees, op_id = context.trees, context.operation.op_id
    if wish.mode is RestoreMode.REFUSE_NON_EMPTY:
        _refuse_full(service.service_id, trees, target)
    trees.check_exchange(target)
    existed = not trees.is_absent(target)
    staging = trees.staging_path(op_id, target)
    staged = context.archive.stage(
        snapshot.manifest_key, target, staging, wish.mode, context.watch, wish.selection, verify=wish.verify
    )
    return {
        "snapshot_id": snapshot.snapshot_id,
        "service": service.service_id,
        "target": target,
        "staging": staging,
        "inode": staged.inode,
        "existed": existed,
        "files": staged.files,
        "bytes": staged.bytes,
        "fetched": staged.fetched,
        "reused": staged.reused,
        "kept": staged.kept,
        "warnings": list(staged.warnings),
    } | fallback.noted(staged)


def _refuse_taken(wish: Wish, context: Context, service: Service) -> None:
    """Nobody else's tree is exchanged, neither for a copy nor for a service that comes from another node."""
    directory, besides = (service.directory, service.service_id) if wish.directory is None else (wish.directory, "")
    if context.services.overlapping(context.node, directory, besides) is not None:
        raise Refused(
            f"directory {directory} on node {context.node} overlaps that of a registered service",
            code="directory-taken",
            next_step="restore a copy to a directory that no service has; a service, to a node where its directory is "
            "free, or register it with another directory first",
        )


def _refuse_full(service_id: str, trees: Trees, target: str) -> None:
    if not trees.is_empty(target):
        raise Refused(
            f"the directory of service {service_id} is not empty, and the restore was to refuse that",
            code="target-not-empty",
            next_step='empty it, or restore with "mode": "replace" or "merge"',
        )
