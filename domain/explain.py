"""The ledger of one operation as a story: what was planned, said, answered, ignored, undone, and when.

Pure: it reads an operation and its steps. Apart from the journal because nothing here may show a value: calls
appear by name and item, never with their bodies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.operation import Operation, Step, StepState
from domain.step_words import STATES, meaning, what

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
            what(step),
            step.state.value,
            meaning(step),
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
        if operation.outcome.get("tenant_sentence"):
            told.append(f"for the tenant: {operation.outcome['tenant_sentence']}")
        if operation.outcome.get("code"):
            told.append(f"reason code: {operation.outcome['code']}")
        if operation.outcome.get("next_step"):
            told.append(f"next: {operation.outcome['next_step']}")
    elif operation.error_code:
        told.append(f"it waits for its next attempt: {operation.error_code}")
    if steps:
        parts = [f"{count} {STATES[state].partition(',')[0]}" for state, count in counts.items() if count]
        told.append(f"{len(steps)} steps: {', '.join(parts)}")
    return told


def _remarks(step: Step) -> list[str]:
    remarks = []
    if step.reply.get("trouble"):
        remarks.append(str(step.reply["trouble"]))
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
        told = step.reply.get(name)
        if isinstance(told, list):
            remarks.append(f"{told[0]}: {told[1]}")
        elif isinstance(told, str):
            remarks.append(told)
    if step.reply.get("skipped"):
        remarks.append(f"could not be read, or kept changing: {', '.join(step.reply['skipped'])}")
    return remarks
