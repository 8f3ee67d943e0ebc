"""Everything that is known of one operation, put together for whoever explains it.

Apart from the ways of asking, which are the command line, the HTTP API and the console: all of them tell the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.chronicle import Moment, choices, chronicle
from domain.explain import Line, story, summary
from domain.operation import Operation
from workers.cli.documents import ENDED, moment, operation_document

if TYPE_CHECKING:
    from workers.bootstrap import Database


@dataclass(frozen=True, slots=True)
class Explained:
    """An operation, its steps, what happened to it as a whole, and what makes sense now."""

    operation: Operation
    waits_for: str | None
    summary: list[str]
    lines: list[Line]
    moments: list[Moment]
    choices: list[str]

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return operation_document(self.operation, self.waits_for) | {
            "story": [line.document() for line in self.lines],
            "chronicle": [{"at": moment(one.at), "what": one.what} for one in self.moments],
            "choices": self.choices,
        }


def explained(database: Database, operation: Operation) -> Explained:
    """The operation with all of it."""
    steps = database.ledger.steps(operation.op_id)
    letters = database.find_dead_letters(operation.source, operation.message_id)
    return Explained(
        operation=operation,
        waits_for=None if operation.state in ENDED else database.waits_for(operation),
        summary=summary(operation, steps),
        lines=story(steps),
        moments=chronicle(operation, database.told(operation.op_id), letters),
        choices=choices(operation, letters),
    )
