"""What a signed record says of a snapshot: enough to find it in its store and to know it again.

Apart from the catalogue's row, because a row says much that is true of one database only. A record has nothing
that changes while a snapshot lives, and no secret.
"""

from __future__ import annotations

from dataclasses import dataclass


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
