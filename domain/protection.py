"""The snapshot that is taken before a service is changed, so that there is always a way back.

Apart from `create-snapshot` because it is a step of another operation: its id is derived from that
operation and the service, so that a second attempt adopts what the first one published.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from domain import container
from domain.context import Context
from domain.contracts import SnapshotRequest, Source
from domain.course import Course, Task
from domain.damage import reading
from domain.errors import NotFound, Refused
from domain.operation import Step, StepState
from domain.outcome import AbandonSnapshot, AddSnapshot
from domain.resting import resting
from domain.restore import ManifestSummary
from domain.service import Service
from domain.snapshot import PROTECTS, Consistency, Label, Snapshot, SnapshotState
from domain.standing import Use

#: A row names at most this many files; the manifest has them all.
MOST_FILES = 100


def live_directory(service: Service, context: Context) -> str:
    """The absolute path of the service's directory on this node; NotFound when there is none."""
    path = context.trees.resolve(service.directory)
    if context.trees.is_absent(path):
        raise NotFound(
            f"service {service.service_id} has no directory {service.directory} on node {context.node}",
            code="directory-not-found",
            next_step=f"bring {path} back on that node, restore a snapshot into it, or register the service with its "
            "real directory; then ask again",
        )
    return path


def catalogue_row(summary: ManifestSummary, labels: tuple[Label, ...]) -> Snapshot:
    """The catalogue's row of a published manifest."""
    troubled = bool(summary.unstable or summary.skipped)
    return Snapshot(
        snapshot_id=summary.snapshot_id,
        tenant_id=summary.tenant_id,
        service_id=summary.service_id,
        state=SnapshotState.AVAILABLE,
        taken_at=summary.taken_at,
        manifest_key=summary.manifest_key,
        root_digest=summary.root_digest,
        logical_bytes=summary.logical_bytes,
        stored_bytes=summary.stored_bytes,
        files=summary.files,
        consistency=Consistency.PARTIAL if troubled else Consistency.STABLE,
        include=summary.include,
        parent_id=summary.parent_id,
        labels=labels,
        packs=summary.packs,
        skipped=(summary.unstable + summary.skipped)[:MOST_FILES],
    )


def protect(context: Context, course: Course) -> None:
    """Take every protecting snapshot that an earlier attempt has not taken already."""
    for step in context.journal.steps("protect"):
        if step.state is StepState.UNDONE:
            raise _partial(step.request["service"], step.reply.get("skipped", ()))
        if step.state in (StepState.PENDING, StepState.INTENT):
            context.watch.check()
            _take(context, course.task(step.request["service"]), step)


def _take(context: Context, task: Task, step: Step) -> None:
    service = context.service(task.service_id)
    with_data = bool(step.request["data"])
    retried = step.state is StepState.INTENT
    step = step if retried else context.journal.start(step)
    directory = live_directory(service, context) if with_data else None
    parent = context.catalogue.parent(service.service_id) if with_data else None
    sources = context.sources.of(service, _sources_to_save(context, service, task)) if with_data else ()
    with resting(context, "snapshot", service) if with_data else nullcontext():
        row = publish(context, service, step, directory, container.pack(service, task.plan.before), parent, sources)
    if row.consistency is Consistency.PARTIAL:
        skipped = list(row.skipped[:5])
        abandon(context, service, step, {"skipped": skipped})
        raise _partial(service.service_id, skipped)
    adopt(context, step, row, retried=retried)


def _sources_to_save(context: Context, service: Service, task: Task) -> list[str]:
    """The service's own, and those that are going to be replaced although it does not list them any more: what the
    snapshot brings back would otherwise take the place of something that nobody has."""
    if task.restore_data is None:
        return list(service.sources)
    snapshot = context.snapshot(task.restore_data, Use.FINISH)
    with reading(snapshot):
        brought = context.archive.read(snapshot.manifest_key).sources
    return [*service.sources, *(one.name for one in brought if one.name not in service.sources)]


def publish(
    context: Context,
    service: Service,
    step: Step,
    directory: str | None,
    configuration: dict[str, Any] | None,
    parent: Snapshot | None,
    sources: tuple[Source, ...],
) -> Snapshot:
    """Store the snapshot that a "protect" step names; the row that the catalogue does not have yet."""
    labels = (Label(PROTECTS, context.operation.op_id), Label("sys.reason", context.operation.kind))
    request = SnapshotRequest(
        snapshot_id=step.request["snapshot"],
        tenant_id=service.tenant_id,
        service_id=service.service_id,
        directory=directory,
        configuration=configuration,
        labels=labels,
        parent=parent,
        sources=sources,
        taken_at=context.now_ms(),
    )
    return catalogue_row(context.archive.create(request, context.watch), labels)


def adopt(context: Context, step: Step, row: Snapshot, *, retried: bool) -> None:
    """The step is done and the catalogue has the row; what earlier attempts left in the store is for the collector."""
    prefix = context.archive.pack_prefix(row.tenant_id, row.snapshot_id) if retried else None
    reply: dict[str, Any] = {"snapshot_id": row.snapshot_id, "stored_bytes": row.stored_bytes, "files": row.files}
    context.journal.end(step, StepState.DONE, reply, (AddSnapshot(row, prefix),))


def abandon(context: Context, service: Service, step: Step, reply: dict[str, Any]) -> None:
    """The step came to nothing, and what it stored is for the collector."""
    context.journal.end(step, StepState.UNDONE, reply, (_garbage(context, service.service_id, step),))


def _garbage(context: Context, service_id: str, step: Step) -> AbandonSnapshot:
    tenant, snapshot_id = context.operation.tenant_id, step.request["snapshot"]
    return AbandonSnapshot(
        context.archive.manifest_key(tenant, service_id, snapshot_id), context.archive.pack_prefix(tenant, snapshot_id)
    )


def _partial(service_id: str, skipped: Sequence[str]) -> Refused:
    """There is no way back without a whole snapshot, neither now nor for whoever takes over."""
    return Refused(
        f"the protecting snapshot of service {service_id} is not whole; these could not be read or kept changing: "
        f"{', '.join(skipped)}",
        code="snapshot-partial",
        next_step="quiesce the service or move what is no file out of its directory, or upgrade without include_data",
    )


def left_over(context: Context) -> tuple[AbandonSnapshot, ...]:
    """What an unfinished protecting snapshot has left in the store, for the collector."""
    return tuple(
        _garbage(context, step.request["service"], step)
        for step in context.journal.steps("protect")
        if step.state is StepState.INTENT
    )
