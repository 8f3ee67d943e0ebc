"""Why an operation is put back, remembered while it is told something else.

What gets STUCK, or is given up because its node is lost, tells what was in the way. The reason why it was put back at
all stays beneath that: once a retry has put it back, the reason is its outcome, and nothing of what was in the way.
"""

from __future__ import annotations

from dataclasses import replace

from domain.operation import Operation
from domain.outcome import Outcome

#: The figure of an outcome that says why the operation was put back, and what of a reason it has.
TURNED_BACK_FOR = "turned_back_for"
_OF_A_REASON = ("code", "sentence", "next_step", "items")


def with_reason(told: Outcome, reason: Outcome) -> Outcome:
    """What is told, with the reason beneath it."""
    document = reason.document()
    return replace(
        told,
        figures=told.figures | {TURNED_BACK_FOR: {name: document[name] for name in _OF_A_REASON if document[name]}},
    )


def reason_of(operation: Operation) -> Outcome:
    """Why an operation is put back; also after it was told something else."""
    kept = Outcome.turned_back(operation.outcome)
    reason = kept.figures.get(TURNED_BACK_FOR)
    if reason is None:
        return kept
    figures = {name: value for name, value in kept.figures.items() if name != TURNED_BACK_FOR}
    return replace(Outcome.turned_back(reason), figures=figures)
