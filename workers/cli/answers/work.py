"""Answers about messages and operations, and errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from workers.cli.answers.words import Id, Next, Time


class Problem(TypedDict):
    """Why a command did not do what it was asked for; the same text stands on standard error."""

    code: Annotated[str, "a word for programs; docs/reference/errors.md has them all"]
    sentence: Annotated[str, "what happened, and to what"]
    next_step: NotRequired[Annotated[str, "what to do; empty when there is nothing to say"]]
    problems: NotRequired[Annotated[list[str], "every mistake in the configuration"]]


class Failure(TypedDict):
    """An error; beside it what is known of the operation or the message, when waiting ended without an outcome."""

    error: Problem


class Finding(TypedDict):
    """A named part of an outcome: what was left out, what could not be put back, what a dry run would do."""

    name: str
    code: str
    sentence: str


class Operation(TypedDict):
    """An operation: one accepted message and what became of it."""

    operation_id: Id
    kind: Annotated[str, "the message type, such as `create-snapshot`"]
    tenant_id: str
    service_id: str
    state: Literal["QUEUED", "RUNNING", "COMPENSATING", "STUCK", "SUCCEEDED", "ROLLED_BACK", "FAILED", "CANCELLED"]
    outcome: Annotated[
        Literal["succeeded", "rolled-back", "failed", "cancelled", "stuck"] | None, "null until it has ended"
    ]
    error_code: Annotated[str | None, "why; before the end that of the last attempt"]
    sentence: Annotated[str | None, "what happened"]
    next_step: Annotated[str | None, "what to do"]
    tenant_sentence: Annotated[str | None, "what happened, in words that can be passed on to the tenant"]
    complete: Annotated[bool | None, "false when items were left out"]
    items: Annotated[list[Finding], "what was left out; of a dry run what would change"]
    figures: Annotated[dict[str, Any], "counts, bytes and ids, by command: `snapshot_id`, `files`, …"]
    progress: Annotated[dict[str, Any] | None, "`bytes_done`, `bytes_total`, …, as last reported; for eyes only"]
    waits_for: Annotated[str | None, "a sentence; null when it has ended"]
    source: Annotated[str, "of the message that it was"]
    message_id: Annotated[str, "of the message that it was"]
    node: Annotated[str | None, "the only node that can do it"]
    owner: Annotated[str | None, "who holds or held it"]
    fence: Annotated[int, "the number of its last claim"]
    attempts: Annotated[int, "failures that were retried"]
    cancel_requested: bool
    correlation_id: Annotated[str | None, "as published"]
    causation_id: Annotated[str | None, "as published; of a replay what was replayed"]
    deadline_at: Time | None
    created_at: Time | None
    updated_at: Time | None


class Step(TypedDict):
    """One step of an operation's journal."""

    ordinal: int
    kind: str
    state: str
    request: dict[str, Any]
    reply: dict[str, Any]


class OperationWhole(Operation):
    """An operation with its journal."""

    data_fields: Annotated[list[str], "names, not values, of the fields in its data"]
    steps: list[Step]


class StoryLine(TypedDict):
    """One line of an operation's story."""

    ordinal: int
    what: str
    state: str
    meaning: str
    remarks: list[str]
    began_at: Annotated[int, "milliseconds since 1970"]
    ended_at: Annotated[int, "milliseconds since 1970"]


class Moment(TypedDict):
    """Something that happened to an operation as a whole."""

    at: Time | None
    what: str


class OperationStory(Operation):
    """An operation with its story."""

    story: Annotated[list[StoryLine], "its steps"]
    chronicle: Annotated[list[Moment], "accepted, ended, told, put aside: oldest first"]
    choices: Annotated[list[str], "commands that make sense now, each with what it does"]


class OperationResolved(Operation):
    """An operation that was STUCK, after a person's word."""

    resolved: Literal["retry", "accept", "force"]


class Operations(TypedDict):
    """Operations, newest first."""

    operations: list[Operation]
    next: Next


class Published(TypedDict):
    """A message that the broker has durably; with `--wait` an operation instead."""

    message_id: str
    source: str
    published: bool
