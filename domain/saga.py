"""Bringing a course about: protect, change item by item, move data, deploy, look, settle.

The way forward; the way back is `domain/compensation.py`. It promises that every effect follows a
committed intent, that what another worker left is continued and not repeated, and that it ends by
returning what holds or by raising why it cannot: never with a guess.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from domain.changeset import Verb
from domain.classify import Verdict
from domain.configuration import Configuration
from domain.context import Context
from domain.converging import DIFFERS, converge
from domain.course import Course, Task
from domain.dialogue import Dialogue, Said
from domain.errors import Refused, RegionUnavailable, Stopped
from domain.kinds import SHARED_NAMES
from domain.operation import Step, StepState
from domain.outcome import Item
from domain.region import Call, Place

LOST = "was there before, with a value that could not be read: it keeps the one that it was given"
GONE = "was there before, with a value that could not be read: it was removed to be made anew, and that was refused"


class StepRefused(Refused):
    """A part of the course cannot be brought about. `evidence` says which, fit to be published."""

    code = "region-refused"

    def __init__(self, message: str, *, code: str | None = None, evidence: dict[str, Any] | None = None) -> None:
        super().__init__(message, code=code)
        self.evidence = evidence or {}


class Saga:
    """The forward direction of one attempt. Used by one thread."""

    def __init__(self, context: Context, course: Course) -> None:
        self.context, self.course, self.journal = context, course, context.journal
        self.dialogue = Dialogue(
            context.region, context.journal, context.watch, context.breakers, context.clock, context.count
        )
        #: Calls that an earlier holder may have sent without having seen a reply.
        self.inherited = {
            step.ordinal
            for step in self.journal.steps()
            if step.state is StepState.INTENT and not step.request.get("idle")
        }
        #: Services of which something was removed under the present fence.
        self._removed: set[str] = set()
        self.given_up = {step.request["service"] for step in self.journal.steps() if step.kind.startswith("give-up:")}

    # ------------------------------------------------------------ items
    def change_items(self) -> None:
        """Every call about a configuration item that has not been settled yet, in order."""
        self._refused_before()
        while (step := self._next_call()) is not None:
            self.context.watch.check()
            self._call(self.begun(step))
        doubtful = [s for s in [*self.foreign_steps(), *self.echoes()] if s.request["service"] not in self.given_up]
        converge(self.course, self.journal, self.dialogue, doubtful, self.refuse)

    def _refused_before(self) -> None:
        """What was refused stays refused, also for whoever takes over before the turn is committed."""
        for step in [*self.journal.steps("call"), *self.converged()]:
            told = step.reply.get("refused")
            if told is not None and step.request["service"] not in self.given_up:
                raise StepRefused(told["sentence"], code=told["code"], evidence=told["evidence"])

    def begun(self, step: Step) -> Step:
        """The step with an intent that says that it may have been sent, from before it is sent again."""
        if step.state is not StepState.PENDING and not step.request.get("idle"):
            return step
        request = {name: value for name, value in step.request.items() if name != "idle"}
        return self.journal.start(dataclasses.replace(step, request=request))

    def _next_call(self, service: str | None = None) -> Step | None:
        """The first call that is neither done nor fallen away."""
        left_out = self.left_out_items()
        for step in self.journal.steps("call"):
            request = step.request
            if step.state not in (StepState.PENDING, StepState.INTENT) or request["service"] in self.given_up:
                continue
            if {(request["service"], request["derived_from"]), (request["service"], request["item"])} & left_out:
                continue
            return step if service in (None, request["service"]) else None
        return None

    def _call(self, step: Step) -> None:
        place = self.course.task(step.request["service"]).place
        call = Call.load(step.request["call"])
        inherited = step.ordinal in self.inherited
        kept = step.request.get("verb") == Verb.KEEP
        anew = kept or (call.method == "POST" and self._was_removed(step))
        self._removals_land_first(place, call)
        said = self.dialogue.send(place, call, sent_before=inherited, unsent=lambda: self.unsent(step))
        self.dialogue.let_it_land(place, call, said)
        verdict = said.answer.verdict
        if verdict is Verdict.APPLIED or (kept and verdict is Verdict.EXISTS):
            self._conclude(step, StepState.DONE, said)
        elif not anew and (verdict is Verdict.EXISTS or (verdict is Verdict.LEFT_OUT and not self.course.strict)):
            self.context.count("region_ignored", region=place.region, call=call.name, why=verdict.value)
            self._conclude(step, StepState.IGNORED, said)
        elif verdict in (Verdict.BUSY, Verdict.NOT_SENT):
            raise self.not_now(step, said)
        else:  # also of what was just removed: left as it is now, it would be gone
            raise self.refuse(step, said)

    def _removals_land_first(self, place: Place, call: Call) -> None:
        """A removal that the network repeats must not land after what takes its place."""
        if call.method == "DELETE":
            self._removed.add(place.service_id)
        elif place.service_id in self._removed:
            self.dialogue.raise_fence([place])
            self._removed.discard(place.service_id)

    def _was_removed(self, step: Step) -> bool:
        """Whether an earlier call removed what had the name of this step's item."""
        name = _name(step)
        earlier = (other for other in self.journal.steps("call") if other.ordinal < step.ordinal)
        return any(_name(other) == name and Call.load(other.request["call"]).method == "DELETE" for other in earlier)

    def _conclude(self, step: Step, state: StepState, said: Said) -> None:
        """Write the reply down, and the next intent with it when it concerns the same service."""
        concluded = dataclasses.replace(step, state=state, reply=said.record())
        following = None
        try:
            self.context.watch.check()
            self.journal.remember(concluded)
            following = self._next_call(step.request["service"])
        except Stopped:
            self.journal.end(step, state, said.record())
            raise
        self.journal.end(step, state, said.record(), following=following if _is_pending(following) else None)

    def not_now(self, step: Step, said: Said) -> RegionUnavailable:
        """The region is busy or away: the operation waits in its row."""
        if not said.unknown:
            self.unsent(step)
        place = self.course.task(step.request["service"]).place
        return RegionUnavailable(
            f"region {place.region} did not take {step.request['call']['name']} of service {place.service_id}: "
            f"{said.answer.sentence}",
            code=said.answer.code,
        )

    def unsent(self, step: Step) -> None:
        """Note what certainly did not arrive, so that a later 400 is not mistaken for the echo of a first try."""
        if not step.request.get("idle"):
            self.journal.start(dataclasses.replace(step, request=step.request | {"idle": True}))

    def refuse(self, step: Step, said: Said) -> StepRefused:
        """Why the course cannot go on. A step that certainly had no effect needs no undoing."""
        service, call = step.request["service"], step.request["call"]["name"]
        what = step.request.get("item", "the deployment")
        evidence = {
            "service": service,
            "call": call,
            "item": what,
            "status": said.reply.status,
            "message": said.answer.sentence,
            "tries": len(said.tries),
        }
        # Without a definite answer it may have happened; saying that it was refused would be saying that it has not.
        did = "gave no definite answer to" if said.answer.verdict is Verdict.UNKNOWN else "refused"
        sentence = (
            f"region {self.course.task(service).place.region} {did} {call} ({what}) of service {service}: "
            f"{said.answer.sentence or said.reply.status}"
        )
        if not said.unknown:
            refused = {"code": said.answer.code, "sentence": sentence, "evidence": evidence}
            self.journal.end(step, StepState.UNDONE, said.record() | {"refused": refused})
        return StepRefused(sentence, code=said.answer.code, evidence=evidence)

    # ------------------------------------------------------------ what holds
    def foreign_steps(self) -> list[Step]:
        """Calls about items that the region had before us."""
        differing = self.differing()
        calls = self.journal.steps("call")
        return [step for step in calls if ignored(step) == Verdict.EXISTS.value or step.ordinal in differing]

    def differing(self) -> set[int]:
        """Ordinals of calls about items in whose place the region has others."""
        return {_origin(step) for step in self.converged() if step.reply.get("verdict") == DIFFERS}

    def echoes(self) -> list[Step]:
        """Calls about items of which the region said, after a try without an answer, that they exist: by that try, or
        since before us."""
        return [step for step in self.journal.steps("call") if step.state is StepState.DONE and step.reply.get("echo")]

    def left_out_items(self) -> set[tuple[str, str]]:
        """(service, item) of what the region refused to have, or has another one in place of."""
        calls = [step for step in self.journal.steps("call") if step.state is StepState.IGNORED]
        refused = [step for step in calls if step.reply.get("verdict") == Verdict.LEFT_OUT.value]
        refused += [self.journal.now(ordinal) for ordinal in self.differing()]
        return {(step.request["service"], step.request["item"]) for step in refused}

    def result(self, task: Task) -> Configuration:
        """The console's rows as they are from now on: the target without what was left out."""
        gone = self.left_out_items()
        kept = [
            change
            for change in task.plan.changes
            if (task.service_id, f"{change.kind}/{change.key}") not in gone
            and (task.service_id, change.derived_from) not in gone
        ]
        after = Configuration.load(task.plan.after)
        return dataclasses.replace(task.before().changed(kept), origin=after.origin, rest=after.rest)

    def ignored(self) -> list[Item]:
        """What the region ignored, for the outcome: the left out first."""
        items = []
        for step in self.journal.steps("call"):
            if step.state is StepState.IGNORED:
                items.append(_item(step, step, str(step.reply.get("verdict"))))
        return sorted(items, key=lambda item: item.code != Verdict.LEFT_OUT.value)

    def not_converged(self) -> list[Item]:
        """What the region had before us and did not let us give our value."""
        items = []
        for step in self.converged():
            if step.request["service"] in self.given_up:
                continue
            if step.state is StepState.IGNORED and step.reply.get("verdict") != Verdict.EXISTS.value:
                items.append(_item(self.journal.now(_origin(step)), step, "not-converged"))
        return items

    def converged(self) -> list[Step]:
        """Calls that gave our value, or were to give it, to what existed."""
        return [step for step in self.journal.steps() if step.kind.startswith("converge:")]

    def overwritten(self) -> list[Item]:
        """What the region had before us and we have written over or removed, which no way back can change."""
        written = {_origin(step) for step in self.converged() if _is_write(step)}
        gone = {_origin(step) for step in self.converged() if step.reply.get("refused")}
        return [
            Item(_item_name(step), "overwritten", GONE if step.ordinal in gone else LOST)
            for step in self.foreign_steps()
            if step.ordinal in written
        ]

    def touched_services(self) -> set[str]:
        """Services that some call may have reached."""
        return {
            step.request["service"]
            for step in self.journal.steps()
            if step.state is not StepState.PENDING and step.kind in ("call", "deploy")
        }

    def unsettled(self) -> bool:
        """Whether a call without a known outcome may still be under way."""
        return bool(self.inherited) or any(step.reply.get("unknown") for step in self.journal.steps())


def _name(step: Step) -> tuple[str, str, str]:
    """Service, sort and key of the item that a call is about: only one item can have them."""
    kind, _, key = step.request["item"].partition("/")
    return step.request["service"], SHARED_NAMES.get(kind, kind), key


def _item(about: Step, answered: Step, code: str) -> Item:
    tries = answered.reply.get("tries") or [{}]
    return Item(_item_name(about), code, str(tries[-1].get("words", "")))


def _item_name(about: Step) -> str:
    return f"{about.request['service']}/{about.request['item']}"


def _origin(step: Step) -> int:
    """The ordinal of the call that this step goes on with."""
    return int(step.kind.split(":")[1])


def _is_write(step: Step) -> bool:
    return step.state is StepState.DONE and Call.load(step.request["call"]).method != "GET"


def ignored(step: Step) -> str:
    """Why the region's 400 to this call was ignored, also when the step is put back by now; empty if it was not, and
    for what was to be kept: that it exists was known."""
    if step.request.get("verb") == Verb.KEEP:
        return ""
    reply = step.reply.get("was", step.reply) if step.state is StepState.UNDONE else step.reply
    verdict = str(reply.get("verdict") or "")
    return verdict if verdict in (Verdict.EXISTS.value, Verdict.LEFT_OUT.value) else ""


def _is_pending(step: Step | None) -> bool:
    return step is not None and step.state is StepState.PENDING
