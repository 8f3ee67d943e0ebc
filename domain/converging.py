"""Giving our value to what the region had before us, or may have had, as the last of all items.

Apart from the saga because it begins where that has found what exists. What can be read is read, and taken for ours
only when it is the same; what cannot be read is written over, where the region writes in place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

from domain.changeset import ItemChange, Verb
from domain.classify import Verdict
from domain.course import Course
from domain.dialogue import Dialogue, Said
from domain.errors import RegionUnavailable
from domain.journal import Journal
from domain.kind import Kind
from domain.kinds import KINDS
from domain.operation import Step, StepState
from domain.region import Call, Place

#: The verdict on what the region has under the name of an item, when it is not that item.
DIFFERS = "differs"
ANOTHER = "the region has another one in its place"

Refuse = Callable[[Step, Said], Exception]


def converge(course: Course, journal: Journal, dialogue: Dialogue, steps: Iterable[Step], refuse: Refuse) -> None:
    """The items of these calls, in order; what they were before cannot be put back, hence as late as possible.
    RegionUnavailable while the region is busy or away, and what `refuse` makes of what was removed and is not taken
    again: left as it is then, it would be gone."""
    for step in steps:
        task = course.task(step.request["service"])
        kind = KINDS[step.request["item"].partition("/")[0]]
        change = dataclasses.replace(task.plan.changes[step.request["change"]], verb=Verb.UPDATE)
        talk = _Talk(journal, dialogue, task.place, step.request["item"], kind, change, refuse)
        if kind.read is not None and not talk.finds(f"converge:{step.ordinal}:read", kind.read):
            continue
        # The first keeps the name that it had when there was one for all of them.
        for number, call in enumerate(kind.calls(change, task.place) if kind.in_place else ()):
            name = f"converge:{step.ordinal}:{number}" if number else f"converge:{step.ordinal}"
            if not talk.say(name, call, again=bool(number)):
                break  # what is there stays there


@dataclasses.dataclass(frozen=True, slots=True)
class _Talk:
    """About one service; each call is a step of the journal."""

    journal: Journal
    dialogue: Dialogue
    place: Place
    item: str
    kind: Kind
    change: ItemChange
    refuse: Refuse

    def say(self, name: str, call: Call, *, again: bool) -> bool:
        """Whether it may have taken effect; `again` for what makes anew what the one before has removed."""
        found = self.journal.find(name)
        if found is not None and found.state is not StepState.INTENT:
            return _took_effect(found)
        begun = self._begin(name, call)
        if again:  # as for what is made anew
            self.dialogue.raise_fence([self.place])
        said = self._ask(call, sent_before=found is not None)
        self.dialogue.let_it_land(self.place, call, said, sent_before=found is not None)
        applied = said.answer.verdict is Verdict.APPLIED
        if again and not (applied and self._is_there(said)):
            raise self.refuse(begun, said)
        return _took_effect(self.journal.end(begun, StepState.DONE if applied else StepState.IGNORED, said.record()))

    def _is_there(self, said: Said) -> bool:
        """Whether a 400 after a try without an answer was the echo of that try, and no refusal."""
        if self.kind.read is None or not said.record().get("echo"):
            return True
        return not self._differs(self._read(self.kind.read))

    def finds(self, name: str, read: Call) -> bool:
        """Whether the region has this very item; what it has instead is left alone, and told. A region that will not
        say is believed: it has said that the item exists."""
        found = self.journal.find(name)
        if found is None or found.state is StepState.INTENT:
            begun, said = self._begin(name, read), self._read(read)
            differs = self._differs(said)
            state, record = (StepState.IGNORED, _told(said)) if differs else (StepState.DONE, said.record())
            found = self.journal.end(begun, state, record)
        return found.state is StepState.DONE

    def _read(self, call: Call) -> Said:
        said = self._ask(call)
        if said.answer.verdict is Verdict.UNKNOWN:
            raise RegionUnavailable(said.answer.sentence, code=said.answer.code)
        return said

    def _differs(self, said: Said) -> bool:
        return said.answer.verdict is Verdict.APPLIED and not self.kind.same(self.change, said.reply.items or [])

    def _begin(self, name: str, call: Call) -> Step:
        request = {"service": self.place.service_id, "item": self.item, "call": call.document()}
        return self.journal.begin(name, request)

    def _ask(self, call: Call, *, sent_before: bool = False) -> Said:
        said = self.dialogue.send(self.place, call, sent_before=sent_before)
        if said.answer.verdict in (Verdict.BUSY, Verdict.NOT_SENT):
            raise RegionUnavailable(said.answer.sentence, code=said.answer.code)
        return said


def _took_effect(step: Step) -> bool:
    return step.state is StepState.DONE or bool(step.reply.get("unknown"))


def _told(said: Said) -> dict[str, Any]:
    found = said.record()
    *before, last = found["tries"]
    return found | {"verdict": DIFFERS, "tries": [*before, last | {"words": last["words"] or ANOTHER}]}
