"""What a restore may be asked to do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class RestoreMode(StrEnum):
    """What happens to files that are in the target and not in the snapshot."""

    REPLACE = "replace"  # they disappear: the target becomes the snapshot
    MERGE = "merge"  # they stay
    REFUSE_NON_EMPTY = "refuse-non-empty"  # there must be none


@dataclass(frozen=True, slots=True)
class Staged:
    """A complete tree beside the target, ready to take its place."""

    path: str  # absolute path of the staged tree's root
    inode: int  # of that root: it recognises the swap, because an exchange moves names, not inodes
    files: int
    bytes: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Exported:
    """A snapshot's data as one archive in the store."""

    key: str
    bytes: int
    sha256: str  # hex, of the object's bytes
    files: int


@dataclass(frozen=True, slots=True)
class ManifestSummary:
    """What is known of a published snapshot without reading its data."""

    snapshot_id: str
    tenant_id: str
    service_id: str
    manifest_key: str
    root_digest: str
    taken_at: int  # UTC milliseconds
    logical_bytes: int
    stored_bytes: int
    files: int
    packs: tuple[str, ...]
    include: tuple[str, ...]
    labels: tuple[str, ...]
    skipped: tuple[str, ...]
    unstable: tuple[str, ...]
    parent_id: str | None = None
    configuration: dict[str, Any] | None = field(default=None, repr=False)
