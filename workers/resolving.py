"""What a person's word on a STUCK operation writes: the rows that it would have written, had it come to that end.

Apart from the ways of resolving, which are the command line, the HTTP API and the console: a person who says "it is
finished" must say the same on all of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from domain import carrying
from domain.course import Course
from domain.operation import Operation, Step
from domain.outcome import Change, SaveRecord, SaveService

if TYPE_CHECKING:
    from workers.bootstrap import Database


def stated_rows(database: Database, operation_id: str, how: str) -> tuple[Change, ...]:
    """For `accept` the records of an attempt that was put back; for `force` those of one that holds, and the console's
    rows of its target, from the plan that was written down. None for `retry`, whose end is not known, or without a
    plan."""
    operation, steps = database.ledger.get(operation_id), database.ledger.steps(operation_id)
    plan = next((step for step in steps if step.kind == "plan"), None)
    if operation is None or plan is None or how == "retry":
        return ()
    course = Course.load(plan.request)
    return (*_records(database, operation, steps, course, how), *(_target(database, course) if how == "force" else ()))


def _records(
    database: Database, operation: Operation, steps: Sequence[Step], course: Course, how: str
) -> Iterator[Change]:
    """Also of an operation that no worker has brought to its end, such as one whose node was lost."""
    if course.purpose not in carrying.GOOD:
        return
    status = (carrying.GOOD if how == "force" else carrying.BAD)[course.purpose]
    known = {record.service_id: record for record in database.records.of(operation.op_id)}
    reason = str((operation.outcome or {}).get("sentence", ""))
    for task in course.tasks:
        record = known.get(task.service_id) or carrying.record_of(operation, steps, course, task, status, reason)
        yield SaveRecord(dataclasses.replace(record, status=status))


def _target(database: Database, course: Course) -> list[Change]:
    rows: list[Change] = []
    for task in course.tasks:
        service = database.services.get(task.service_id)
        if service is not None:
            document, generation = task.plan.after, service.generation + 1
            rows.append(SaveService(dataclasses.replace(service, document=document, generation=generation)))
        rows += carrying.held(course, task)
    return rows
