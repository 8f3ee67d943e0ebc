"""Bringing back data that is not in the directory: each source of a snapshot, as a step of its own.

Apart from the directory's, which is exchanged and can be exchanged back: what a program has taken in cannot be taken
out of it again. So everything is staged and verified first, what cannot work is refused before anything is touched,
and once the first source has begun nothing is cancelled. Undoing means restoring another snapshot, or a person.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from domain import fallback
from domain.context import Context
from domain.contracts import Source
from domain.errors import Refused, SourceInterrupted
from domain.journal import TOUCHED
from domain.operation import StepState
from domain.restore import RestoreMode, SavedSource, Selection
from domain.service import Service
from domain.snapshot import Snapshot

#: Stands for a live directory that sources do not have; nothing is ever put there.
_PLACE = "restore-sources"
#: Where the archive stages them.
_FOLDER = ".backstay-sources"
_BY_HAND = "restore the sources from another snapshot by hand, then `backstay operations resolve`"


def stage_sources(
    context: Context, service: Service, snapshot: Snapshot, only: Set[str] | None = None
) -> tuple[tuple[Source, ...], str]:
    """Fetch and verify every source that the snapshot holds, or those of `only`, after it was found that each can be
    restored here; the sources and the folder with their bytes. Nothing is changed by that."""
    saved = _saved(context, snapshot, only)
    sources = context.sources.of(service, [one.name for one in saved])
    if not begun(context, service, snapshot.snapshot_id):
        for source, one in zip(sources, saved, strict=True):
            _check(source, one)
    op_id = context.operation.op_id
    context.after_settle.append(lambda: context.trees.discard(op_id))
    return sources, _staged(context, snapshot, [one.name for one in saved])


def _saved(context: Context, snapshot: Snapshot, only: Set[str] | None) -> list[SavedSource]:
    found = context.archive.read(snapshot.manifest_key).sources
    return [one for one in found if only is None or one.name in only]


def bring_sources(context: Context, service: Service, snapshot: Snapshot, only: Set[str] | None = None) -> int:
    """Restore every source that the snapshot holds, or those of `only`, an interrupted one again, a finished one not;
    how many. Raises when it does not hold one of `only`: to do nothing would be called done."""
    names = [one.name for one in _saved(context, snapshot, only)]
    if only is not None and (lacking := sorted(only - set(names))):
        raise Refused(
            f"snapshot {snapshot.snapshot_id} of service {service.service_id} holds no source {', '.join(lacking)}, "
            "and only a person can put that back",
            code="source-restored",
            next_step=_BY_HAND,
        )
    if all(_is_done(context, _kind(service, snapshot.snapshot_id, name)) for name in names):
        return len(names)
    sources, staging = stage_sources(context, service, snapshot, only)
    for source in sources:
        if not begun(context, service, snapshot.snapshot_id):
            context.watch.check()
        _bring(context, service, snapshot, source, f"{staging}/{source.name}")
    return len(sources)


def _is_done(context: Context, kind: str) -> bool:
    step = context.journal.find(kind)
    return step is not None and step.state is StepState.DONE


def begun(context: Context, service: Service, snapshot_id: str) -> frozenset[str]:
    """The sources that may hold what that snapshot holds, or a part of it; not one whose program has refused it."""
    prefix = _kind(service, snapshot_id, "")
    steps = context.journal.steps()
    return frozenset(
        step.kind.removeprefix(prefix) for step in steps if step.kind.startswith(prefix) and step.state in TOUCHED
    )


def refuse_to_take_back(context: Context, service: Service, snapshot_id: str) -> None:
    """Raise when a source was restored, because nothing here can undo that."""
    if begun(context, service, snapshot_id):
        raise Refused(
            f"sources of service {service.service_id} hold what snapshot {snapshot_id} holds, or a part of it, and "
            "only a person can put them back",
            code="source-restored",
            next_step=_BY_HAND,
        )


def _check(source: Source, saved: SavedSource) -> None:
    if source.kind != saved.kind:
        raise Refused(
            f"source {saved.name} was a {saved.kind} when it was saved and is a {source.kind} on this node",
            code="source-kind-differs",
            next_step="correct the node's configuration",
        )
    source.prepare(saved.bytes)


def _staged(context: Context, snapshot: Snapshot, names: list[str]) -> str:
    """The folder with the complete, verified sources."""
    trees, op_id = context.trees, context.operation.op_id
    target = trees.resolve(_PLACE)
    staging = trees.staging_path(op_id, target)
    step = next((one for one in context.journal.steps("staged") if one.state is StepState.DONE), None)
    request = {"snapshot": snapshot.snapshot_id, "sources": names}
    if step is not None and step.request == request and not trees.is_absent(staging):
        return f"{staging}/{_FOLDER}"
    step = context.journal.begin("staged", request)
    staged = context.archive.stage(
        snapshot.manifest_key, target, staging, RestoreMode.REPLACE, context.watch, Selection(sources=tuple(names))
    )
    context.journal.end(step, reply=fallback.noted(staged))
    return f"{staging}/{_FOLDER}"


def _bring(context: Context, service: Service, snapshot: Snapshot, source: Source, path: str) -> None:
    kind = _kind(service, snapshot.snapshot_id, source.name)
    if _is_done(context, kind):
        return
    request: dict[str, Any] = {"service": service.service_id, "item": source.name, "snapshot": snapshot.snapshot_id}
    step = context.journal.find(kind) or context.journal.begin(kind, request)
    try:
        source.restore(path, context.watch)
    except SourceInterrupted:
        raise  # it may have taken in all of it, or a part
    except Refused as error:
        context.journal.end(step, StepState.UNDONE, {"failed": str(error)})
        raise
    context.journal.end(step)


def _kind(service: Service, snapshot_id: str, name: str) -> str:
    return f"source:{service.service_id}:{snapshot_id}:{name}"
