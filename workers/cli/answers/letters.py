"""Answers about dead letters: what needs a person, and what was done with it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from workers.cli.answers.words import Id, Next, Time
from workers.cli.answers.work import Operation, StoryLine


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


Word = Literal["safe", "applied", "superseded", "dangerous", "impossible"]


class Verdict(TypedDict):
    """What replaying a letter would do."""

    verdict: Word
    why: str


class Message(TypedDict):
    """The message of a letter, with whatever is secret in it."""

    text: Annotated[str | None, "of an operation the data of its command; null when it is no UTF-8"]
    base64: Annotated[str | None, "when it is no UTF-8"]
    headers: dict[str, Any]


class DeadLetterWhole(DeadLetter):
    """A dead letter with what is known beside it."""

    raw_bytes: Annotated[int | None, "size of the raw message"]
    header_names: list[str]
    traceback: Annotated[str | None, "of a bug"]
    replay_of: Annotated[str | None, "the operation or letter that its operation was made from"]
    operation: Annotated[Operation | None, "with its outcome, figures and evidence"]
    steps: Annotated[list[StoryLine], "the journal of its operation"]
    advice: Annotated[Verdict | None, "null when it was resolved"]
    message: NotRequired[Annotated[Message, "with `--raw`"]]


class DeadLettersWhole(TypedDict):
    """Dead letters, each with what is known beside it."""

    dead_letters: list[DeadLetterWhole]
    next: Next


class LetterGroup(TypedDict):
    """Unresolved letters with the same cause."""

    fingerprint: str
    kind: str | None
    reason: str
    letters: int
    services: Annotated[int, "how many they are about"]
    seen: Annotated[int, "how often their messages came"]
    first_at: Time | None
    last_at: Time | None
    sentence: Annotated[str, "of the newest"]
    newest_id: Id


class LetterGroups(TypedDict):
    """Causes, the one with most letters first."""

    groups: list[LetterGroup]
    next: Next


class LetterVerdict(Verdict):
    """The same for one of several letters."""

    dead_letter_id: Id


class LetterPlan(TypedDict):
    """What replaying letters would do; nothing was changed."""

    letters: Annotated[list[LetterVerdict], "in the order in which they were looked at"]
    verdicts: Annotated[dict[str, int], "how many of each"]
    would_replay: NotRequired[int]
    seconds_at_this_rate: NotRequired[Annotated[int, "after the canaries"]]


class ReplayItem(TypedDict):
    """One letter of a replay of many."""

    dead_letter_id: Id
    state: Literal["WAITING", "REPLAYED", "SKIPPED"]
    why: Annotated[str | None, "it was skipped"]
    operation_id: str | None
    operation_state: str | None


class Replay(TypedDict):
    """A replay of many letters."""

    replay_id: Id
    state: Literal["RUNNING", "DONE", "STOPPED"]
    why: Annotated[str | None, "it stopped"]
    actor: str
    way: str
    reason: str | None
    canary: int
    per_minute: Annotated[int, "0: no limit"]
    created_at: Time | None
    ended_at: Time | None
    letters: int
    waiting: Annotated[int, "still dead letters"]
    skipped: Annotated[int, "resolved by somebody else, or cannot be replayed"]
    going_on: Annotated[int, "operations that have not ended"]
    succeeded: int
    not_succeeded: Annotated[int, "operations that ended otherwise, each with a dead letter of its own if it failed"]


class Replays(TypedDict):
    """Replays of many letters, newest first."""

    replays: list[Replay]
    next: Next


class ReplayWhole(Replay):
    """A replay with each of its letters."""

    items: list[ReplayItem]
    left_out: Annotated[list[LetterVerdict], "letters that were chosen, and not replayed because of the plan"]


class ReplayStopped(Replay):
    """A replay after `stop`."""

    stopped_now: Annotated[bool, "false when it had ended before"]


class LettersDiscarded(TypedDict):
    """What `discard` put aside of several letters."""

    discarded: list[Id]


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
