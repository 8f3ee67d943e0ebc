"""Write a signed record of a snapshot, by which a catalogue that has lost it can take it back.

    {"snapshot_id": "0192f0c1-…"}

The outcome's figure `record` is the text; it holds no data and no secret. It is of use in the same store and under
the same key ring only, and until the snapshot is deleted or its manifest is replaced. Changes nothing.
"""

from __future__ import annotations

from domain.context import Context
from domain.errors import WrongTenant
from domain.outcome import Outcome
from domain.standing import Use
from domain.subscription import Subscription
from handlers import Id, Payload


class ExportRecord(Payload):
    """Which snapshot; it must be available."""

    snapshot_id: Id


def handle(command: ExportRecord, context: Context) -> Outcome:
    """Read the manifest, and sign what identifies it."""
    snapshot = context.snapshot(command.snapshot_id, Use.RECORD)
    if snapshot.service_id != context.operation.service_id:
        raise WrongTenant(f"snapshot {snapshot.snapshot_id} does not belong to the subject of this message")
    return Outcome.succeeded(
        f"the record of snapshot {snapshot.snapshot_id} is signed",
        snapshot_id=snapshot.snapshot_id,
        record=context.archive.export_record(snapshot.manifest_key),
    )


subscription = Subscription(ExportRecord, handle, exclusive=False)
