"""A context that can plan and nothing else, and what it plans as a document: for showing what an operation would do.

Apart from the attempt because there is no claim: whatever would write is refused instead. Values are masked.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from domain.changeset import ItemChange
from domain.configuration import Configuration
from domain.context import Context
from domain.course import Course, Task
from domain.errors import NotFound
from domain.kind import masked
from domain.operation import Operation, State
from domain.planning import drift
from domain.upgrade_record import Status
from workers.bootstrap import System
from workers.clock import SystemClock

#: The id that a planned operation would have; only what is derived from it differs from the real one.
NOBODY = "00000000-0000-8000-a000-000000000000"


def planning_context(system: System, service_id: str) -> Context:
    """A context for planning about a service, as its tenant would; NotFound if it is not registered."""
    database = system.database
    service = database.services.get(service_id)
    if service is None:
        raise NotFound(f"service {service_id} is not registered", code="unknown-service")
    operation = Operation(
        seq=0, op_id=NOBODY, source="", message_id="", kind="plan", tenant_id=service.tenant_id,
        service_id=service_id, state=State.QUEUED, data={},
    )  # fmt: skip
    ports: dict[str, Any] = dict.fromkeys(Context.__dataclass_fields__)
    ports |= {
        "operation": operation,
        "retried": False,
        "node": service.node or system.settings.node,
        "services": database.services,
        "catalogue": database.catalogue,
        "archive": system.archive,
        "versions": database.versions,
        "records": database.records,
        "journal": SimpleNamespace(reserve=lambda service_ids: None),
        "now_ms": SystemClock().wall_ms,
        "after_settle": [],
        "undoing_handed_over": False,
    }
    return Context(**ports)


def drifted(system: System, service_id: str, live: Configuration) -> list[ItemChange]:
    """What somebody has changed since the last upgrade or rollback that holds; empty when there was none.

    The recorded state is the one that its operation planned, without the items that the region left out. One that
    found nothing to do has planned nothing: what holds is then the plan before it.
    """
    planned = [found for kind in ("upgrade", "rollback") if (found := _last_plan(system, service_id, kind)) is not None]
    if not planned:
        return []
    _, course = max(planned, key=lambda found: found[0])
    return drift(Configuration.load(course.task(service_id).plan.after), live)


def _last_plan(system: System, service_id: str, kind: str) -> tuple[int, Course] | None:
    """Fence and plan of the last operation of that kind that holds and has written one down."""
    ledger = system.database.ledger
    for record in system.database.records.history(service_id, kind):
        operation = ledger.get(record.op_id) if record.status in (Status.UPGRADED, Status.ROLLBACK) else None
        if operation is None:
            continue
        for step in ledger.steps(record.op_id):
            if step.kind == "plan":
                return operation.fence, Course.load(step.request)
    return None


def course_document(system: System, course: Course, held: str | None) -> dict[str, Any]:
    """A course item by item, as every screen shows it; `held` is why its version must not be applied."""
    return {
        "purpose": course.purpose,
        "held": held,
        "services": [_task_document(system, task) for task in course.tasks],
    }


def _task_document(system: System, task: Task) -> dict[str, Any]:
    return {
        "service_id": task.service_id,
        "from": task.old_version,
        "to": task.new_version,
        "action": task.effect.name.lower(),
        "protecting_snapshot": task.protect is not None,
        "changes": [
            {
                "kind": change.kind,
                "key": change.key,
                "verb": change.verb.value,
                "before": masked(change.before or {}),
                "after": masked(change.after or {}),
                "note": change.note,
            }
            for change in task.plan.differing()
        ],
        "kept": [{"kind": c.kind, "key": c.key, "note": c.note} for c in task.plan.staying()],
        "drift": [
            {"kind": change.kind, "key": change.key, "verb": change.verb.value}
            for change in drifted(system, task.service_id, task.before())
        ],
        "notes": list(task.plan.notes),
    }
