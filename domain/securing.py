"""The snapshot of a service's sources that a restore takes before it replaces them: its way back when it fails later.

Apart from `protection.py`, which refuses to change anything without a way back: a database may be restored because it
is broken, and what cannot be saved any more must not keep anybody from that. Such a restore goes on without, and then
a failure after the first source is for a person.
"""

from __future__ import annotations

from domain.bringing import begun, bring_sources, refuse_to_take_back
from domain.context import Context
from domain.contracts import SnapshotRequest, Source
from domain.errors import Refused
from domain.identity import derived_id
from domain.operation import Step, StepState
from domain.outcome import AbandonSnapshot, AddSnapshot
from domain.protection import catalogue_row, protecting_labels
from domain.service import Service
from domain.snapshot import Consistency, Snapshot
from domain.standing import Use

_PROTECT = "protect"


def secure(context: Context, service: Service, snapshot: Snapshot, sources: tuple[Source, ...]) -> None:
    """Save those sources as they are, unless an earlier attempt has, or could not, or has begun to replace them."""
    known = _step(context)
    if begun(context, service, snapshot.snapshot_id) or (known is not None and known.state is not StepState.INTENT):
        return
    step = known or context.journal.begin(
        _PROTECT,
        {"service": service.service_id, "snapshot": _way_back(context, service), "data": True},
    )
    labels = protecting_labels(context)
    request = SnapshotRequest(
        snapshot_id=step.request["snapshot"],
        tenant_id=service.tenant_id,
        service_id=service.service_id,
        directory=None,
        configuration=None,
        labels=labels,
        parent=context.catalogue.newest(service.service_id, "sources"),
        sources=sources,
    )
    prefix = context.archive.pack_prefix(service.tenant_id, request.snapshot_id)
    try:
        row = catalogue_row(context.archive.create(request, context.watch), labels)
        if row.consistency is Consistency.PARTIAL:
            raise Refused("they kept changing while they were read", code="snapshot-partial")
    except Refused as error:
        key = context.archive.manifest_key(service.tenant_id, service.service_id, request.snapshot_id)
        context.journal.end(step, StepState.UNDONE, {"failed": str(error)}, (AbandonSnapshot(key, prefix),))
        return
    reply = {"snapshot_id": row.snapshot_id, "stored_bytes": row.stored_bytes}
    context.journal.end(step, StepState.DONE, reply, (AddSnapshot(row, prefix if known else None),))


def give_back(context: Context, service: Service) -> None:
    """What was replaced gets its former content again. Raises when nobody but a person can do that."""
    way_back = _way_back(context, service)
    step = _step(context)
    for replaced in [one for one in context.journal.steps() if one.kind.startswith("source:")]:
        snapshot_id = replaced.request["snapshot"]
        if snapshot_id == way_back or not begun(context, service, snapshot_id):
            continue
        if step is None or step.state is not StepState.DONE:
            refuse_to_take_back(context, service, snapshot_id)
        taken_in = begun(context, service, snapshot_id)
        bring_sources(context, service, context.snapshot(way_back, Use.FINISH), taken_in)
        for one in context.journal.steps():
            if one.kind.startswith(f"source:{service.service_id}:{snapshot_id}:") and one.state is not StepState.UNDONE:
                context.journal.end(one, StepState.UNDONE)


def secured(context: Context) -> dict[str, str]:
    """For the outcome: the snapshot that holds what the sources were before; nothing when there is none."""
    step = _step(context)
    return {"safety_snapshot": step.request["snapshot"]} if step is not None and step.state is StepState.DONE else {}


def _step(context: Context) -> Step | None:
    return next(iter(context.journal.steps(_PROTECT)), None)


def _way_back(context: Context, service: Service) -> str:
    return derived_id(context.operation.op_id, f"{_PROTECT}/{service.service_id}")
