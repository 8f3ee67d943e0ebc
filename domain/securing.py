"""The snapshot of a service's sources that a restore takes before it replaces them: its way back when it fails later.

Apart from `protection.py`, which refuses to change anything without a way back: a database may be restored because it
is broken, and what refuses to be saved must not keep anybody from that. Such a restore goes on without, and then a
failure after the first source is for a person. What only asks for patience is waited for, as everywhere.
"""

from __future__ import annotations

from domain.bringing import begun, bring_sources, refuse_to_take_back, stage_sources
from domain.context import Context
from domain.contracts import Source
from domain.errors import Damaged, Refused, SourceUnavailable, StoreUnavailable
from domain.identity import derived_id
from domain.operation import Step, StepState
from domain.protection import abandon, adopt, publish
from domain.service import Service
from domain.snapshot import Snapshot
from domain.source import SourceKind
from domain.standing import Use

_PROTECT = "protect"


def stage_and_secure(context: Context, service: Service, snapshot: Snapshot, *, safety: bool, alone: bool) -> None:
    """Before the first source is replaced: fetch and verify what replaces them, and save what they are.

    A program takes all of what it is given or nothing; so when one is all that is restored, `alone`, nothing is saved.
    """
    if begun(context, service, snapshot.snapshot_id):
        return
    sources, _ = stage_sources(context, service, snapshot)
    if safety and not (alone and [source.kind for source in sources] == [SourceKind.COMMAND]):
        _secure(context, service, sources)


def _secure(context: Context, service: Service, sources: tuple[Source, ...]) -> None:
    """Save those sources as they are, unless an earlier attempt has, or could not."""
    known = _step(context)
    if known is not None and known.state is not StepState.INTENT:
        return
    step = known or context.journal.begin(
        _PROTECT,
        {"service": service.service_id, "snapshot": _way_back(context, service), "data": True},
    )
    parent = context.catalogue.parent(service.service_id, "sources")
    try:
        row = publish(context, service, step, None, None, parent, sources)
        adopt(context, step, row, retried=known is not None)
    except (Refused, Damaged) as error:  # damaged is what was stored just now, not what is to be restored
        abandon(context, service, step, {"failed": str(error)})
    except (SourceUnavailable, StoreUnavailable) as error:
        sentence = f"what is to be replaced cannot be saved now: {error}"
        way_out = 'a restore with "safety_snapshot": false does not save it'
        raise type(error)(f"{sentence}; {way_out}", code=error.code) from error


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
