"""A context that can plan and nothing else: for showing what an operation would do.

Apart from the attempt because there is no claim: whatever would write is refused instead.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from domain.context import Context
from domain.errors import NotFound
from domain.operation import Operation, State
from workers.bootstrap import System

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
        "after_settle": [],
        "undoing_handed_over": False,
    }
    return Context(**ports)
