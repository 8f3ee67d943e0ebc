"""The life of one operation beside its steps: accepted, ended, told, put aside; and what may be done with it now.

Apart from the story of the steps because most commands have none, and an operator asks the same of them: why did it
not begin, how did it end, who was told, what can I do. Pure, and without any value of a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from domain.contracts import DeadLetter
from domain.operation import TERMINAL, Operation, State


@dataclass(frozen=True, slots=True)
class Told:
    """An event about the operation: when it became true, and when the broker confirmed it (None: not yet)."""

    topic: str
    created_at: int
    sent_at: int | None


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at a time, UTC milliseconds."""

    at: int
    what: str

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {"at": self.at, "what": self.what}


def chronicle(operation: Operation, events: Sequence[Told], letters: Sequence[DeadLetter]) -> list[Moment]:
    """What is known to have happened to it, oldest first; `letters` may hold others' with the same message."""
    moments = [Moment(operation.created_at, _accepted(operation))]
    if operation.outcome and (operation.state in TERMINAL or operation.state is State.STUCK):
        end = "got stuck" if operation.state is State.STUCK else f"ended, {operation.state}"
        moments.append(Moment(operation.updated_at, f"{end}: {operation.outcome.get('sentence', '')}"))
    moments += [_letter(letter) for letter in letters if letter.op_id == operation.op_id]
    for event in events:
        if event.sent_at is None:
            moments.append(Moment(event.created_at, f"waits to be told as {event.topic}: the broker has not taken it"))
        else:
            moments.append(Moment(event.sent_at, f"told as {event.topic}"))
    return sorted(moments, key=lambda moment: moment.at)


def attempts(operation: Operation) -> str:
    """What is known of the tries so far; empty when there is nothing to say."""
    told = []
    if operation.attempts:
        told.append(f"{operation.attempts} attempts failed and were repeated")
    if operation.claims_no_progress > 1:
        told.append(f"{operation.claims_no_progress} workers in a row took it and came to nothing")
    if operation.owner:
        holds = "holds it" if operation.lease_until else "held it last"
        told.append(f"a worker of node {operation.owner.partition('|')[0]} {holds}")
    if operation.cancel_requested and operation.state not in TERMINAL:
        told.append("somebody has asked for it to stop")
    return "; ".join(told)


def choices(operation: Operation, letters: Sequence[DeadLetter] = ()) -> list[str]:
    """The commands that make sense now, each with what it does."""
    name = operation.op_id
    if operation.state in (State.QUEUED, State.RUNNING):
        return [
            f"`backstay operations watch {name}` follows it",
            f"`backstay operations cancel {name}` has it stop and put back what it touched",
        ]
    if operation.state is State.COMPENSATING:
        return [f"`backstay operations watch {name}` follows it; it is putting back and cannot be stopped"]
    if operation.state is State.STUCK:
        return [
            f"`backstay operations resolve {name} --retry` puts it back once more, when the cause is mended",
            f"`backstay operations resolve {name} --accept` states that a person has put it back",
            f"`backstay operations resolve {name} --force` states that a person has finished it",
        ]
    unresolved = [one for one in letters if one.op_id == name and one.resolution is None]
    return [
        choice
        for letter in unresolved
        for choice in (
            f"`backstay dead-letters replay {letter.dead_letter_id}` runs it again, when the cause is mended",
            f"`backstay dead-letters discard {letter.dead_letter_id}` puts it aside",
        )
    ]


def _accepted(operation: Operation) -> str:
    told = f"accepted: message {operation.message_id} of {operation.source}"
    if operation.causation_id:
        told += f", because of {operation.causation_id}"
    return told + (f", for node {operation.node}" if operation.node else "")


def _letter(letter: DeadLetter) -> Moment:
    told = f"dead letter {letter.dead_letter_id}: {letter.reason}"
    if letter.resolution is not None:
        again = f" as operation {letter.replay_op_id}" if letter.replay_op_id else ""
        note = f" ({letter.resolved_note})" if letter.resolved_note else ""
        told += f"; since then {letter.resolution} by {letter.resolved_by or 'somebody'}{again}{note}"
    return Moment(letter.created_at, told)
