"""What a signed record says of a snapshot: enough to find it in its store and to know it again.

Apart from the catalogue's row, because a row says much that is true of one database only. A record has nothing
that changes while a snapshot lives, and no secret.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.errors import Refused
from domain.snapshot import Snapshot, SnapshotState


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """Authentic once it was read: only a node with the same key ring can have written it."""

    store_id: str  # of the store that holds the snapshot
    tenant_id: str
    service_id: str
    snapshot_id: str
    manifest_key: str
    manifest_bytes: int
    manifest_sha256: str  # hex, of the object's bytes
    root_digest: str  # hex, of the content
    taken_at: int  # UTC milliseconds


def check_exportable(snapshot: Snapshot) -> None:
    """Refused for a snapshot that cannot be restored: no record promises it."""
    if snapshot.state is not SnapshotState.AVAILABLE:
        raise Refused(
            f"snapshot {snapshot.snapshot_id} is {snapshot.state}{snapshot.fault and ': '}{snapshot.fault}",
            code="snapshot-not-available",
            next_step=f"`backstay snapshots verify {snapshot.snapshot_id}` looks whether it still is",
        )
