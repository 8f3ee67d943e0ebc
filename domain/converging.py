"""Giving our value to what the region had before us, or may have had, as the last of all items.

Apart from the saga because it begins where that has found what exists. What can be read is read, and taken for ours
only when it is the same; what cannot be read is written over, where the region writes in place.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from domain.changeset import ItemChange, Verb
from domain.classify import Verdict
from domain.dialogue import Said
from domain.errors import RegionUnavailable
from domain.kind import Kind
from domain.kinds import KINDS
from domain.operation import Step, StepState
from domain.region import Call, Place

if TYPE_CHECKING:
    from domain.saga import Saga

#: The verdict on what the region has under the name of an item, when it is not that item.
DIFFERS = "differs"
ANOTHER = "the region has another one in its place"


def converge(saga: Saga) -> None:
    """Every item that existed, in order; its own value cannot be put back, hence as late as possible.
    RegionUnavailable while the region is busy or away."""
    for step in [*saga.foreign_steps(), *saga.echoes()]:
        if step.request["service"] in saga.given_up:
            continue
        task = saga.course.task(step.request["service"])
        kind = KINDS[step.request["item"].partition("/")[0]]
        change = dataclasses.replace(task.plan.changes[step.request["change"]], verb=Verb.UPDATE)
        if kind.read is not None and not _is_ours(saga, step, kind, kind.read, change, task.place):
            continue
        # The first keeps the name that it had when there was one for all of them.
        for number, call in enumerate(kind.calls(change, task.place) if kind.in_place else ()):
            name = f"converge:{step.ordinal}:{number}" if number else f"converge:{step.ordinal}"
            _say(saga, name, task.place, call, again=bool(number))


def _say(saga: Saga, name: str, place: Place, call: Call, *, again: bool) -> None:
    found = saga.journal.find(name)
    if found is not None and found.state is not StepState.INTENT:
        return
    begun = saga.journal.begin(name, {"service": place.service_id, "call": call.document()})
    if again:  # as for what is made anew
        saga.dialogue.raise_fence([place])
    said = _asked(saga, place, call)
    saga.let_it_land(place, call, said, sent_before=found is not None)
    applied = said.answer.verdict is Verdict.APPLIED
    saga.journal.end(begun, StepState.DONE if applied else StepState.IGNORED, said.record())


def _is_ours(saga: Saga, step: Step, kind: Kind, read: Call, change: ItemChange, place: Place) -> bool:
    """Whether the region has this very item; what it has instead is left alone, and told."""
    name = f"converge:{step.ordinal}:read"
    found = saga.journal.find(name)
    if found is None or found.state is StepState.INTENT:
        begun = saga.journal.begin(name, {"service": place.service_id, "call": read.document()})
        said = _asked(saga, place, read)
        same = said.answer.verdict is Verdict.APPLIED and kind.same(change, said.reply.items or [])
        record = said.record() if same else _differs(said)
        found = saga.journal.end(begun, StepState.DONE if same else StepState.IGNORED, record)
    return found.state is StepState.DONE


def _differs(said: Said) -> dict[str, Any]:
    found = said.record()
    *before, last = found["tries"]
    return found | {"differs": True, "verdict": DIFFERS, "tries": [*before, last | {"words": last["words"] or ANOTHER}]}


def _asked(saga: Saga, place: Place, call: Call) -> Said:
    said = saga.dialogue.send(place, call)
    if said.answer.verdict in (Verdict.BUSY, Verdict.NOT_SENT):
        raise RegionUnavailable(said.answer.sentence, code=said.answer.code)
    return said
