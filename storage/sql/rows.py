"""Rows to records and back: the only place that knows both.

Apart from the statements so that a new column is one edit here and one in `tables`. What is sealed is
opened here through the `Vault`; listings leave secrets closed.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row

from domain.contracts import Accepted
from domain.edition import EDITION, edition_for
from domain.operation import Operation, State, Step, StepState
from domain.service import Service
from domain.snapshot import Consistency, Label, Snapshot, SnapshotState
from storage.sql.sealed import Vault, to_json

#: Times beyond this (the year 287396) are as good as never, and every database can hold them.
LATEST_MS = 2**53


def operation(row: Row[Any], vault: Vault) -> Operation:
    """The whole record; raises what the sealer raises if `data` cannot be opened."""
    return _operation(row, vault.open_json(row.data, "operation.data", row.op_id))


def closed_operation(row: Row[Any]) -> Operation:
    """The record with empty `data`: for listings, events and people."""
    return _operation(row, {})


def _operation(row: Row[Any], data: dict[str, Any]) -> Operation:
    return Operation(
        seq=row.seq,
        op_id=row.op_id,
        source=row.source,
        message_id=row.message_id,
        kind=row.kind,
        tenant_id=row.tenant_id,
        service_id=row.service_id,
        state=State(row.state),
        data=data,
        node=row.node or None,
        exclusive=bool(row.exclusive),
        owner=row.owner,
        fence=row.fence,
        lease_until=row.lease_until,
        next_attempt_at=row.next_attempt_at,
        claims_no_progress=row.claims_no_progress,
        attempts=row.attempts,
        cancel_requested=bool(row.cancel_requested),
        deadline_at=row.deadline_at,
        outcome=None if row.outcome is None else json.loads(row.outcome),
        progress=None if row.progress is None else json.loads(row.progress),
        error_code=row.error_code,
        correlation_id=row.correlation_id,
        causation_id=row.causation_id,
        reply_to=row.reply_to,
        traceparent=row.traceparent,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def new_operation(item: Accepted, op_id: str, now: int, vault: Vault) -> dict[str, Any]:
    """The values of a QUEUED row; `node` is the explicit one, the service's is filled in later."""
    command = item.command
    return {
        "op_id": op_id,
        "source": command.source,
        "message_id": command.message_id,
        "request_hash": item.request_hash,
        "kind": command.kind,
        "version": command.version,
        "tenant_id": command.subject.tenant_id,
        "service_id": command.subject.service_id,
        "node": item.node or "",
        "local": int(item.local and item.node is None),
        "exclusive": int(item.exclusive),
        "state": State.QUEUED.value,
        "data": vault.close_json(command.data, "operation.data", op_id),
        "edition": edition_for(command.kind, command.data),
        "deadline_at": min(max(command.deadline_ms or 0, 0), LATEST_MS),
        "correlation_id": command.correlation_id,
        "causation_id": command.causation_id,
        "reply_to": command.reply_to,
        "traceparent": command.traceparent,
        "created_at": now,
        "updated_at": now,
    }


def step(row: Row[Any], vault: Vault) -> Step:
    """One line of the journal."""
    key = step_key(row.op_id, row.ordinal)
    return Step(
        ordinal=row.ordinal,
        kind=row.kind,
        state=StepState(row.state),
        request=vault.open_json(row.request, "step.request", key),
        reply=vault.open_json(row.reply, "step.reply", key),
        began_at=row.began_at,
        updated_at=row.updated_at,
        fence=row.fence,
    )


def step_key(op_id: str, ordinal: int) -> str:
    """What a step's sealed columns are bound to."""
    return f"{op_id}/{ordinal}"


def service(row: Row[Any], vault: Vault) -> Service:
    """The whole record."""
    return _service(row, vault.open_json(row.document, "service.document", row.service_id))


def closed_service(row: Row[Any]) -> Service:
    """The record with an empty document, for listings."""
    return _service(row, {})


def _service(row: Row[Any], document: dict[str, Any]) -> Service:
    return Service(
        service_id=row.service_id,
        tenant_id=row.tenant_id,
        alias=row.alias,
        directory=row.directory,
        node=row.node,
        region=row.region,
        generation=row.generation,
        group_id=row.group_id,
        share_uuid=row.share_uuid,
        document=document,
        retention=json.loads(row.retention or "{}"),
        sources=tuple(json.loads(row.sources or "[]")),
        rpo_seconds=row.rpo_seconds,
        rpo_since=row.rpo_since,
    )


def service_values(record: Service, now: int, vault: Vault) -> dict[str, Any]:
    """The values of a service's row."""
    return {
        "service_id": record.service_id,
        "tenant_id": record.tenant_id,
        "alias": record.alias,
        "directory": record.directory,
        "node": record.node,
        "region": record.region,
        "generation": record.generation,
        "document": vault.close_json(record.document, "service.document", record.service_id),
        "group_id": record.group_id,
        "share_uuid": record.share_uuid,
        "retention": to_json(record.retention) if record.retention else "",
        "sources": to_json(list(record.sources)) if record.sources else "",
        "rpo_seconds": record.rpo_seconds,
        "rpo_since": record.rpo_since,
        "updated_at": now,
    }


def snapshot(row: Row[Any], labels: tuple[Label, ...], packs: tuple[str, ...]) -> Snapshot:
    """The catalogue's record."""
    return Snapshot(
        snapshot_id=row.snapshot_id,
        tenant_id=row.tenant_id,
        service_id=row.service_id,
        state=SnapshotState(row.state),
        taken_at=row.taken_at,
        manifest_key=row.manifest_key,
        root_digest=row.root_digest,
        logical_bytes=row.logical_bytes,
        stored_bytes=row.stored_bytes,
        files=row.files,
        consistency=Consistency(row.consistency),
        include=tuple(json.loads(row.include)),
        parent_id=row.parent_id,
        labels=labels,
        packs=packs,
        skipped=tuple(json.loads(row.skipped)),
        pinned=row.pinned,
        verified_at=row.verified_at or 0,
        verified_level=row.verified_level,
        fault=row.fault,
        changed_at=row.updated_at,
    )


def snapshot_values(record: Snapshot, now: int) -> dict[str, Any]:
    """The values of a snapshot's row; labels and packs have tables of their own."""
    return {
        "snapshot_id": record.snapshot_id,
        "tenant_id": record.tenant_id,
        "service_id": record.service_id,
        "state": SnapshotState.AVAILABLE.value,
        "taken_at": record.taken_at,
        "manifest_key": record.manifest_key,
        "root_digest": record.root_digest,
        "logical_bytes": record.logical_bytes,
        "stored_bytes": record.stored_bytes,
        "files": record.files,
        "consistency": record.consistency.value,
        "include": to_json(list(record.include)),
        "has_data": int("data" in record.include),
        "parent_id": record.parent_id,
        "skipped": to_json(list(record.skipped)),
        "updated_at": now,
        "edition": EDITION,
    }


def label_values(record: Snapshot) -> list[dict[str, Any]]:
    """The values of its labels' rows, in their order, each with what lists are ordered and limited by."""
    shared = {
        "snapshot_id": record.snapshot_id,
        "tenant_id": record.tenant_id,
        "service_id": record.service_id,
        "taken_at": record.taken_at,
    }
    return [
        shared | {"ordinal": ordinal, "name": label.name, "value": label.value}
        for ordinal, label in enumerate(record.labels)
    ]
