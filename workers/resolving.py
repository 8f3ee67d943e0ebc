"""What `resolve --force` writes: the rows that a STUCK operation would have written, had it come to its end.

Apart from the ways of resolving, which are the command line, the HTTP API and the console: a person who says "it is
finished" must say the same on all of them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from domain.course import Course
from domain.outcome import Change, SaveService

if TYPE_CHECKING:
    from workers.bootstrap import Database


def target_rows(database: Database, operation_id: str) -> tuple[Change, ...]:
    """The console's rows of the target, from the plan that the operation has written down; none without a plan."""
    plan = next((step for step in database.ledger.steps(operation_id) if step.kind == "plan"), None)
    if plan is None:
        return ()
    rows: list[Change] = []
    for task in Course.load(plan.request).tasks:
        service = database.services.get(task.service_id)
        if service is not None:
            document, generation = task.plan.after, service.generation + 1
            rows.append(SaveService(dataclasses.replace(service, document=document, generation=generation)))
    return tuple(rows)
