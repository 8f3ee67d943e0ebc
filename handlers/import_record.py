"""Take a snapshot back into the catalogue by the signed record that `export-record` wrote of it.

    {"record": "eyJmb3JtYXQiOjEsImtleSI6…"}

The subject is the service that the snapshot is of. A record that was changed, or signed elsewhere, or is of another
store, tenant or form, is refused before anything is looked at. Then the manifest must be the very one of the record
and every pack be there with its size; only then, in one step, is the snapshot available. Labels and figures come
from the manifest; pins and earlier verdicts are not taken over.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from domain.context import Context
from domain.errors import Refused, WrongTenant
from domain.outcome import AdoptSnapshot, MarkSound, Outcome
from domain.protection import catalogue_row
from domain.snapshot import Label
from domain.subscription import Subscription
from domain.verification import VerifyLevel
from handlers import Payload


class ImportRecord(Payload):
    """The record as it was printed; line breaks in it do not matter."""

    record: Annotated[str, pydantic.Field(min_length=1, max_length=16_384)]


def handle(command: ImportRecord, context: Context) -> Outcome:
    """Check the record, then what it promises, then take it in."""
    operation = context.operation
    record = context.archive.read_record(command.record)
    if record.tenant_id != operation.tenant_id:
        raise WrongTenant(f"the record is of a snapshot that does not belong to tenant {operation.tenant_id}")
    if record.service_id != operation.service_id:
        raise Refused(
            f"the record is of a snapshot of service {record.service_id}",
            code="other-service",
            next_step=f"publish it with the subject tenant/{record.tenant_id}/service/{record.service_id}",
        )
    if (known := context.catalogue.get(record.snapshot_id)) is not None:
        raise Refused(
            f"snapshot {record.snapshot_id} is in the catalogue already, and is {known.state}", code="snapshot-known"
        )
    summary = context.archive.admit(record, context.watch)
    snapshot = catalogue_row(summary, tuple(Label.stored(text) for text in summary.labels))
    return Outcome.succeeded(
        f"snapshot {snapshot.snapshot_id} of service {snapshot.service_id} is available again",
        changes=(AdoptSnapshot(snapshot), MarkSound(snapshot.snapshot_id, VerifyLevel.EXISTS.value, 0)),
        snapshot_id=snapshot.snapshot_id,
        taken_at=snapshot.taken_at,
        files=snapshot.files,
        logical_bytes=snapshot.logical_bytes,
        stored_bytes=snapshot.stored_bytes,
        root_digest=snapshot.root_digest,
    )


subscription = Subscription(ImportRecord, handle, exclusive=False)
