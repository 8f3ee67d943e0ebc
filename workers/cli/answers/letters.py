"""Answers about dead letters: what needs a person, and what was done with it."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from workers.cli.answers.words import Id, Next, Time


class DeadLetter(TypedDict):
    """A dead letter, without its raw bytes and traceback."""

    dead_letter_id: Id
    operation_id: Annotated[str | None, "null for a raw message"]
    kind: str | None
    subject: str | None
    source: str | None
    message_id: str | None
    reason: Annotated[str, "the error code, or why the message could not be accepted"]
    sentence: str
    fingerprint: Annotated[str, "the same for the same fault"]
    seen: Annotated[int, "how often it came"]
    created_at: Time | None
    resolution: Literal["replayed", "discarded"] | None
    resolved_by: str | None
    resolved_note: str | None
    replay_operation_id: str | None


class DeadLetterWhole(DeadLetter):
    """A dead letter with what is known beside it."""

    raw_bytes: Annotated[int | None, "size of the raw message"]
    header_names: list[str]
    traceback: Annotated[str | None, "of a bug"]


class DeadLetterReplayed(DeadLetter):
    """A dead letter after `replay`."""

    replayed_now: Annotated[bool, "false when it had been replayed before: then nothing was changed"]


class DeadLetterDiscarded(DeadLetter):
    """A dead letter after `discard`."""

    discarded_now: Annotated[bool, "false when it had been resolved before: then nothing was changed"]


class DeadLetters(TypedDict):
    """Dead letters, newest first."""

    dead_letters: list[DeadLetter]
    next: Next
