"""Events: what Backstay tells the world, as CloudEvents. They hold no secret and no message body."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from domain.operation import Operation
from domain.outcome import Outcome
from domain.recovery_point import RecoveryPoint
from domain.tenant_sentence import tenant_sentence

SOURCE = "/backstay"


def topic(kind: str, outcome: str, tenant_id: str) -> str:
    """The routing key of an outcome event: `<command>.<outcome>.<tenant>`."""
    return f"{kind}.{outcome}.{tenant_id}"


def cloud_event(
    event_id: str, kind: str, subject: str, time_ms: int, data: dict[str, Any], **more: str | None
) -> dict[str, Any]:
    """A structured-mode CloudEvent; attributes that are None are left out."""
    time = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    attributes = {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": f"backstay.{kind}.v1",
        "subject": subject,
        "time": time,
        "datacontenttype": "application/json",
    }
    return attributes | {k: v for k, v in more.items() if v is not None} | {"data": data}


def progress_event(operation: Operation, figures: dict[str, int], event_id: str, time_ms: int) -> dict[str, Any]:
    """How far a running operation has come. `figures`: counts and seconds, by name."""
    return cloud_event(
        event_id,
        "operation.progress",
        f"tenant/{operation.tenant_id}/service/{operation.service_id}",
        time_ms,
        {
            "operation_id": operation.op_id,
            "command_id": operation.message_id,
            "command_source": operation.source,
            "command": operation.kind,
            "attempt": operation.attempts + 1,
            **figures,
        },
        causationid=operation.message_id,
        correlationid=operation.correlation_id,
        traceparent=operation.traceparent,
    )


def ended_document(operation: Operation, outcome: Outcome) -> dict[str, Any]:
    """The end of an operation as its row and its event keep it: for operators, and apart from that for the tenant."""
    return outcome.document() | {"tenant_sentence": tenant_sentence(operation, outcome)}


def recovery_point_event(point: RecoveryPoint, missed: bool, event_id: str) -> dict[str, Any]:
    """A service has missed the goal for its newest good snapshot, or meets it again."""
    return cloud_event(
        event_id,
        f"rpo.{'missed' if missed else 'met'}",
        f"tenant/{point.tenant_id}/service/{point.service_id}",
        point.at,
        {
            "service_id": point.service_id,
            "goal_seconds": point.goal_seconds,
            "age_seconds": point.age_seconds,
            "sentence": point.sentence(),
        },
    )


def outcome_event(operation: Operation, outcome: Outcome, event_id: str, time_ms: int) -> dict[str, Any]:
    """The one terminal event of an operation."""
    return cloud_event(
        event_id,
        f"{operation.kind}.{outcome.event_name()}",
        f"tenant/{operation.tenant_id}/service/{operation.service_id}",
        time_ms,
        {"operation_id": operation.op_id, "command_id": operation.message_id, "command_source": operation.source}
        | ended_document(operation, outcome),
        causationid=operation.message_id,
        correlationid=operation.correlation_id,
        traceparent=operation.traceparent,
    )
