"""Putting services back: what was touched, newest first, by calls that may be repeated.

The way back of `domain/saga.py`. The console's rows are still the old ones, so only the region has to be
told. Nothing is ignorable here, and nothing that was not touched is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from domain.changeset import ItemChange
from domain.classify import Verdict
from domain.course import Task
from domain.errors import RegionUnavailable
from domain.journal import TOUCHED
from domain.kind import Kind
from domain.kinds import KINDS, SHARED_NAMES
from domain.operation import Step, StepState
from domain.region import Call, Place
from domain.saga import Saga, ignored


@dataclass(frozen=True, slots=True)
class Unit:
    """What one or a few calls put back together."""

    place: Place
    calls: tuple[Call, ...]
    steps: tuple[Step, ...]


class Compensation:
    """Undoes the calls of some or of all services of a course."""

    def __init__(self, saga: Saga) -> None:
        self._saga, self._journal, self._dialogue = saga, saga.journal, saga.dialogue
        #: Steps that an earlier worker may have been undoing: its calls may still be under way.
        self._handed_over = {step.ordinal for step in self._touched() if saga.context.undoing_handed_over}

    def undo_items(self, services: set[str]) -> None:
        """Put every touched item of these services back; RegionUnavailable while the region will not."""
        steps = [step for step in self._touched() if step.request["service"] in services]
        places = self._saga.course.places(services & self._saga.touched_services())
        self._dialogue.raise_fence(places)  # what a network repeats must not land after its undoing
        unsettled = self._unsettled(services)
        for unit in self._units(steps):
            unknown = self._send(unit) or any(_unsure(step, self._saga.inherited) for step in unit.steps)
            unknown = unknown or any(step.ordinal in self._handed_over for step in unit.steps)
            unsettled |= unknown
            record = {"verdict": "undone", "unknown": unknown, "by": [call.name for call in unit.calls]}
            self._journal.undone(unit.steps, record)
        while self._dialogue.settle(places, unsettled=unsettled):
            # Whatever was under way has landed by now: say it once more, until nothing of that is under way either.
            again = [step for step in self._undone() if step.request["service"] in services]
            answers = [self._send(unit) for unit in self._units(again)]
            unsettled = any(answers)

    def _send(self, unit: Unit) -> bool:
        """Send the calls of a unit until they hold; whether one may be under way still."""
        unknown = False
        for number, call in enumerate(unit.calls):
            if number:  # it is removed, and then made anew: a repeated removal must not land last
                self._dialogue.raise_fence([unit.place])
            said = self._dialogue.send(unit.place, call, undoing=True)
            unknown |= said.unknown
            if said.answer.verdict is not Verdict.APPLIED:
                raise RegionUnavailable(
                    f"region {unit.place.region} did not take {call.name} of service {unit.place.service_id}, "
                    f"which puts it back: {said.answer.sentence or said.reply.status}",
                    code="undo-refused",
                )
        return unknown

    # ------------------------------------------------------------ which steps
    def _touched(self) -> list[Step]:
        return [step for step in self._saga.journal.steps("call") if step.state in TOUCHED]

    def _undone(self) -> list[Step]:
        """Put back, except what never was there by us: refused at once, left out, there before, or never sent."""
        return [
            step
            for step in self._journal.steps("call")
            if step.state is StepState.UNDONE and step.reply.get("verdict") == "undone" and self._is_ours(step)
        ]

    def _unsettled(self, services: set[str]) -> bool:
        told = [*self._journal.steps("call"), *self._saga.converged()]
        steps = [step for step in told if step.request["service"] in services]
        return any(_unsure(step, self._saga.inherited) or step.ordinal in self._handed_over for step in steps)

    # ------------------------------------------------------------ by which calls
    def _units(self, steps: list[Step]) -> Iterable[Unit]:
        """Newest first. A section that the region can replace is replaced once, in the turn of its oldest step, from
        the console's rows; a section in which the region had something of its own goes item by item, so that this
        survives, or with that, where no item can go alone."""
        foreign = self._saga.foreign_steps()
        mixed = {(step.request["service"], _names(_kind_name(step))) for step in foreign}
        for number, step in reversed(list(enumerate(steps))):
            task, name = self._saga.course.task(step.request["service"]), _kind_name(step)
            kind, section = KINDS[name], (task.service_id, name)
            if not self._is_ours(step):
                yield Unit(task.place, (), (step,))
            elif kind.restore is None or ((task.service_id, _names(name)) in mixed and not kind.together):
                yield Unit(task.place, kind.undo(_change(task, step), task.place), (step,))
            elif section not in {(one.request["service"], _kind_name(one)) for one in self._ours(steps[:number])}:
                theirs = [one for one in foreign if (one.request["service"], _kind_name(one)) == section]
                members = [one for one in self._ours(steps) if (one.request["service"], _kind_name(one)) == section]
                yield _section(task, kind, members, theirs)

    def _ours(self, steps: Iterable[Step]) -> list[Step]:
        return [step for step in steps if self._is_ours(step)]

    def _is_ours(self, step: Step) -> bool:
        """Whether the call may have changed something: the region neither ignored it, nor never got it."""
        return not (ignored(step) or step.request.get("idle") or step.ordinal in self._saga.differing())


def _section(task: Task, kind: Kind, members: list[Step], foreign: list[Step]) -> Unit:
    assert kind.restore is not None
    before = task.before().changed(_change(task, step) for step in foreign)
    return Unit(task.place, kind.restore(before, task.place, [_change(task, step) for step in members]), tuple(members))


def _change(task: Task, step: Step) -> ItemChange:
    return task.plan.changes[int(step.request["change"])]


def _kind_name(step: Step) -> str:
    return str(step.request["item"]).partition("/")[0]


def _names(kind: str) -> str:
    """The kind whose names it shares."""
    return SHARED_NAMES.get(kind, kind)


def _unsure(step: Step, inherited: set[int]) -> bool:
    return bool(step.reply.get("unknown")) or step.ordinal in inherited
