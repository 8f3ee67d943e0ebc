"""When an operation cannot go on: why, in words, and what a person is told.

Apart from the executor, which decides that it is so.
"""

from __future__ import annotations

import traceback
from dataclasses import replace

import structlog

from domain.errors import BackstayError, Refused
from domain.journal import TOUCHED, Journal, is_neutral
from domain.operation import Operation, State
from domain.outcome import Item, Outcome
from domain.turned_back import reason_of, with_reason

log = structlog.get_logger("executor")


def not_put_back(journal: Journal) -> tuple[Item, ...]:
    """What a person has to see to when an operation is STUCK: every step that is still open, newest first."""
    open_steps = [step for step in journal.steps() if step.state in TOUCHED and not is_neutral(step.kind)]
    return tuple(
        Item(
            f"{step.request.get('service', '')}/{step.request.get('item', step.kind)}",
            "not-put-back",
            f"step {step.ordinal} ({step.request.get('call', {}).get('name', step.kind)}) could not be undone",
        )
        for step in reversed(open_steps)
    )


def poison_of(operation: Operation) -> Refused:
    """Why an operation is given up that kills its workers."""
    return Refused(
        f"{operation.claims_no_progress - 1} workers took this operation and died without progress",
        code="poison",
        next_step="read the worker's log of that time; replay it once the cause is mended",
    )


def poisoned(operation: Operation, journal: Journal) -> Outcome:
    """The same while it is put back: STUCK, with what is still open."""
    reason = reason_of(operation)
    told = replace(reason, code="poison", sentence=str(poison_of(operation)), items=not_put_back(journal))
    return stuck(operation, told, reason)


def words_of(error: Exception) -> tuple[str, str]:
    """Code and sentence; of a bug only its type, because its message may quote values."""
    if isinstance(error, BackstayError):
        return error.code, str(error)
    return "internal-error", f"unexpected {type(error).__name__}"


def given_up(operation: Operation, error: Exception) -> Outcome:
    """The end of what was tried as often as its budget allows."""
    code, sentence = words_of(error)
    ended = BackstayError(
        f"gave up after {operation.attempts + 1} attempts: {sentence}",
        code=code,
        next_step="mend the cause, then `backstay dead-letters replay`",
    )
    return Outcome.failed(ended, traceback="".join(traceback.format_exception(error)))


def stuck(operation: Operation, told: Outcome, reason: Outcome | None = None) -> Outcome:
    """That outcome for a person, with the way out of it; `reason` is why it was being put back, if it was."""
    way_out = (
        f"`backstay operations explain {operation.op_id}` tells what is open; put the cause right, then "
        f"`backstay operations resolve {operation.op_id} --retry`"
    )
    ended = replace(told, state=State.STUCK, next_step=way_out)
    return ended if reason is None else with_reason(ended, reason)


def unreadable(operation: Operation, error: Exception, *, begun: bool) -> Outcome:
    """The end of what no handler could be asked about, as often as its budget allows; `begun` if it has a journal."""
    ended = given_up(operation, error)
    if operation.state is State.COMPENSATING:
        return stuck(operation, ended, reason_of(operation))
    return stuck(operation, ended) if begun else ended


def tell_bug(error: Exception) -> None:
    """For the log: where it happened. Its message may quote values, so only the sealed dead letter has it."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("operation.bug", error=type(error).__name__, frames=frames)
