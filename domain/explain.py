"""The ledger of one operation as a story: what was planned, said, answered, ignored, undone, and when.

Pure: it reads an operation and its steps. Apart from the journal because nothing here may show a value: calls
appear by name and item, never with their bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.operation import Operation, Step, StepState

#: What a step's state means to a person.
_STATES = {
    StepState.PENDING: "not begun",
    StepState.INTENT: "sent, or about to be; nobody knows yet whether it arrived",
    StepState.DONE: "done",
    StepState.UNDONE: "put back",
    StepState.IGNORED: "refused with 400 and ignored",
}
#: Fields of a step's request and reply that can be shown.
_FIT = frozenset(
    [
        "service",
        "item",
        "verb",
        "snapshot",
        "snapshot_id",
        "data",
        "event",
        "effect",
        "files",
        "bytes",
        "stored_bytes",
        "verdict",
        "unknown",
        "target",
        "staging",
        "inode",
        "existed",
        "by",
        "deployed",
        "healthy",
        "sent_at",
    ]
)


@dataclass(frozen=True, slots=True)
class Line:
    """One step of the story. Times are UTC milliseconds; 0 means that it is not known."""

    ordinal: int
    what: str
    state: str
    meaning: str
    remarks: tuple[str, ...]
    began_at: int
    ended_at: int

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "ordinal": self.ordinal,
            "what": self.what,
            "state": self.state,
            "meaning": self.meaning,
            "remarks": list(self.remarks),
            "began_at": self.began_at,
            "ended_at": self.ended_at,
        }


def story(steps: Sequence[Step]) -> list[Line]:
    """A line for every step, in order."""
    return [
        Line(
            step.ordinal,
            _what(step),
            step.state.value,
            _meaning(step),
            tuple(_remarks(step)),
            step.began_at,
            step.updated_at if step.state is not StepState.PENDING else 0,
        )
        for step in steps
    ]


def fit(fields: dict[str, Any]) -> dict[str, Any]:
    """What of a request or a reply may be shown: no body, no row, no value."""
    return {name: value for name, value in fields.items() if name in _FIT}


def summary(operation: Operation, steps: Sequence[Step]) -> list[str]:
    """How it stands, in a few sentences."""
    counts = {state: sum(step.state is state for step in steps) for state in StepState}
    told = [f"{operation.kind} of service {operation.service_id} is {operation.state.value}"]
    if operation.outcome:
        told.append(str(operation.outcome.get("sentence")))
        if operation.outcome.get("code"):
            told.append(f"reason code: {operation.outcome['code']}")
        if operation.outcome.get("next_step"):
            told.append(f"next: {operation.outcome['next_step']}")
    elif operation.error_code:
        told.append(f"it waits for its next attempt: {operation.error_code}")
    if steps:
        parts = [f"{count} {_STATES[state].partition(',')[0]}" for state, count in counts.items() if count]
        told.append(f"{len(steps)} steps: {', '.join(parts)}")
    return told


def _what(step: Step) -> str:
    request = step.request
    service = request.get("service", "")
    if step.kind == "plan":
        changes = sum(len(task["plan"]["changes"]) for task in request.get("tasks", ()))
        return f"plan {request.get('purpose', '')}: {changes} changes of {len(request.get('tasks', ()))} services"
    if step.kind == "protect":
        return f"{service}: snapshot {request.get('snapshot')} " + (
            "with data" if request.get("data") else "of the configuration"
        )
    if step.kind == "call":
        return f"{service}: {request['verb']} {request['item']} ({request['call']['method']} {request['call']['path']})"
    name = step.kind.partition(":")[0]
    words = {
        "deploy": f"{service}: {str(request.get('effect', '')).lower()} as event {request.get('event')}",
        "redeploy": f"{service}: the old state again, as event {request.get('event')}",
        "data": f"{service}: data of snapshot {request.get('snapshot')}",
        "data-back": f"{service}: data as before the upgrade, from snapshot {request.get('snapshot')}",
        "converge": f"{service}: our value for what existed before",
        "give-up": f"{service}: put back alone, because {request.get('sentence', '')}",
    }
    return words.get(name, step.kind)


def _meaning(step: Step) -> str:
    if step.kind == "plan":
        return "written down before the first effect"
    if step.state is StepState.IGNORED:
        exists = step.reply.get("verdict") == "exists"
        return "ignored a 400: it existed before" if exists else "ignored a 400: the item is left out"
    if step.state is StepState.UNDONE and step.reply.get("was", {}).get("verdict") in ("exists", "left-out"):
        return "nothing to put back: the 400 was ignored"
    if step.state is StepState.UNDONE and step.reply.get("verdict") not in ("undone", None):
        return "refused, without any effect"
    if step.state is StepState.INTENT and step.request.get("idle"):
        return "the region was busy or away; it certainly did not arrive"
    return _STATES[step.state]


def _remarks(step: Step) -> list[str]:
    remarks = []
    said = step.reply.get("was") or step.reply
    for number, attempt in enumerate(said.get("tries") or (), 1):
        answer = attempt.get("trouble") or f"status {attempt.get('status')}"
        words = f": {attempt['words']}" if attempt.get("words") else ""
        remarks.append(f"try {number}: {answer}, read as {attempt.get('verdict')}, {attempt.get('ms', 0)} ms{words}")
    if step.reply.get("unknown"):
        remarks.append("some try had no known outcome; it was counted as one that may have happened")
    if step.reply.get("by"):
        remarks.append(f"put back by {', '.join(step.reply['by'])}")
    for name in ("failed", "refused"):
        if isinstance(step.reply.get(name), list):
            remarks.append(f"{step.reply[name][0]}: {step.reply[name][1]}")
    return remarks
