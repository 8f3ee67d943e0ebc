"""The JSON forms of what the command line shows: a public contract, documented in docs/cli.md.

Apart from the domain's records because those may change shape and these may only grow. Times are RFC 3339
in UTC. Nothing here holds a command's data, a service's configuration or a raw message.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from domain.operation import Operation, State, Step

if TYPE_CHECKING:
    from domain.audit import Entry
    from domain.contracts import DeadLetter
    from domain.node import NodeSeen
    from domain.recovery_point import RecoveryPoint
    from domain.retention import Decision
    from domain.service import Service
    from domain.snapshot import Snapshot

#: States in which an operation has an outcome, and nothing more happens by itself.
ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.ROLLED_BACK, State.STUCK})


def moment(milliseconds: int) -> str | None:
    """RFC 3339 with milliseconds; None for 0, which means never."""
    if not milliseconds:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def operation_document(operation: Operation, waits_for: str | None) -> dict[str, Any]:
    """An operation; the fields of its outcome are null (or empty) until it has ended."""
    ended = operation.state in ENDED
    outcome = (operation.outcome or {}) if ended else {}
    return {
        "operation_id": operation.op_id,
        "kind": operation.kind,
        "tenant_id": operation.tenant_id,
        "service_id": operation.service_id,
        "state": operation.state.value,
        "outcome": outcome.get("outcome"),
        "error_code": outcome.get("code") if ended else operation.error_code,
        "sentence": outcome.get("sentence"),
        "next_step": outcome.get("next_step"),
        "tenant_sentence": outcome.get("tenant_sentence"),
        "complete": outcome.get("complete"),
        "items": outcome.get("items", []),
        "figures": outcome.get("figures", {}),
        "progress": operation.progress,
        "waits_for": None if ended else waits_for,
        "source": operation.source,
        "message_id": operation.message_id,
        "node": operation.node,
        "owner": operation.owner,
        "fence": operation.fence,
        "attempts": operation.attempts,
        "cancel_requested": operation.cancel_requested,
        "correlation_id": operation.correlation_id,
        "causation_id": operation.causation_id,
        "deadline_at": moment(operation.deadline_at),
        "created_at": moment(operation.created_at),
        "updated_at": moment(operation.updated_at),
    }


def item_line(document: dict[str, Any], item: dict[str, Any]) -> str:
    """One item of an operation for people: of a success what it does not hold, else what was found."""
    why = f": {item['sentence']}" if item["sentence"] else ""
    if document["outcome"] == "succeeded" and not document["complete"]:
        return f"left out: {item['name']} ({item['code']}){why}"
    return f"{item['code']}: {item['name']}{why}"


def step_document(step: Step) -> dict[str, Any]:
    """A journalled step, without what it may hold of a configuration."""
    from domain.explain import fit

    return {
        "ordinal": step.ordinal,
        "kind": step.kind,
        "state": step.state.value,
        "request": fit(step.request),
        "reply": fit(step.reply),
    }


def snapshot_document(snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot, without the list of its packs."""
    return {
        "snapshot_id": snapshot.snapshot_id,
        "tenant_id": snapshot.tenant_id,
        "service_id": snapshot.service_id,
        "state": snapshot.state.value,
        "taken_at": moment(snapshot.taken_at),
        "labels": [str(label) for label in snapshot.labels],
        "include": list(snapshot.include),
        "consistency": snapshot.consistency.value,
        "files": snapshot.files,
        "logical_bytes": snapshot.logical_bytes,
        "stored_bytes": snapshot.stored_bytes,
        "root_digest": snapshot.root_digest,
        "parent_id": snapshot.parent_id,
        "skipped": list(snapshot.skipped),
        "pinned": snapshot.pinned or None,
        "verified_at": moment(snapshot.verified_at),
        "verified_level": snapshot.verified_level or None,
        "fault": snapshot.fault or None,
        "manifest_key": snapshot.manifest_key,
    }


def service_document(service: Service, point: RecoveryPoint | None = None) -> dict[str, Any]:
    """A service, without its configuration; `rpo` is null when it was not asked for."""
    return {
        "service_id": service.service_id,
        "tenant_id": service.tenant_id,
        "alias": service.alias,
        "directory": service.directory,
        "node": service.node,
        "region": service.region,
        "generation": service.generation,
        "rpo": recovery_document(point) if point else None,
    }


def node_document(node: NodeSeen) -> dict[str, Any]:
    """A node, with what it last said of itself."""
    report = node.report
    return {
        "node": node.node,
        "standing": node.standing,
        "seen_at": moment(node.seen_at),
        "seen_seconds_ago": node.age_ms // 1000,
        "first_seen_at": moment(node.first_seen_at),
        "version": node.version,
        "drained_at": moment(node.drained_at),
        "drained_by": node.drained_by or None,
        "drain_reason": node.drain_reason or None,
        "running": node.running,
        "begun": node.begun,
        "bound": node.bound,
        "services": node.services,
        "processes": report.processes,
        "threads": report.threads,
        "slots": dict(report.slots),
        "bandwidth": dict(report.bandwidth),
        "disks": {
            name: {"path": disk.path, "free_bytes": disk.free, "total_bytes": disk.total}
            for name, disk in report.disks.items()
        },
        "low_on_room": report.low_on_room or None,
        "clock_skew_ms": node.skew_ms,
    }


def recovery_document(point: RecoveryPoint) -> dict[str, Any]:
    """How much of a service would be lost now, beside how much may be."""
    return {
        "newest_at": moment(point.newest_at),
        "age_seconds": point.age_seconds,
        "goal_seconds": point.goal_seconds or None,
        "missed": point.missed,
    }


def letter_document(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter, without its raw bytes and traceback."""
    return {
        "dead_letter_id": letter.dead_letter_id,
        "operation_id": letter.op_id,
        "kind": letter.kind,
        "subject": letter.subject,
        "source": letter.source,
        "message_id": letter.message_id,
        "reason": letter.reason,
        "sentence": letter.sentence,
        "fingerprint": letter.fingerprint,
        "seen": letter.seen,
        "created_at": moment(letter.created_at),
        "resolution": letter.resolution,
        "resolved_by": letter.resolved_by,
        "resolved_note": letter.resolved_note,
        "replay_operation_id": letter.replay_op_id,
    }


def audit_document(entry: Entry) -> dict[str, Any]:
    """Who did what."""
    return {
        "seq": entry.seq,
        "at": moment(entry.at),
        "actor": entry.actor,
        "way": entry.way,
        "action": entry.action,
        "subject": entry.subject,
        "tenant_id": entry.tenant_id or None,
        "reason": entry.reason or None,
        "detail": dict(entry.detail),
    }


def retention_document(service: Service, found: Sequence[Decision]) -> dict[str, Any]:
    """What a policy keeps and deletes today, with the reasons."""
    snapshots = [
        {
            "snapshot_id": one.snapshot.snapshot_id,
            "taken_at": moment(one.snapshot.taken_at),
            "keep": one.keep,
            "reasons": list(one.reasons),
        }
        for one in found
    ]
    return {"service_id": service.service_id, "policy": service.retention, "snapshots": snapshots}


def page(name: str, documents: Sequence[dict[str, Any]], limit: int, id_field: str) -> dict[str, Any]:
    """One page out of at most `limit` + 1 documents; `next` is for --before, null on the last page."""
    shown = list(documents[:limit])
    return {name: shown, "next": shown[-1][id_field] if len(documents) > limit else None}
