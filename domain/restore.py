"""What a restore may be asked to do, and what it did."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class RestoreMode(StrEnum):
    """What happens to files that are in the target and not in the snapshot."""

    REPLACE = "replace"  # they disappear: the target becomes the snapshot
    MERGE = "merge"  # they stay
    REFUSE_NON_EMPTY = "refuse-non-empty"  # there must be none


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of a snapshot: `paths` and what is beneath them (all when empty), without what the gitignore-like
    patterns `leave_out`. Both are relative to the service's directory. With `sources`, those and nothing else."""

    paths: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    def is_whole(self) -> bool:
        """Whether it is the whole snapshot."""
        return not self.paths and not self.leave_out and not self.sources


#: The whole directory.
WHOLE = Selection()


@dataclass(frozen=True, slots=True)
class Difference:
    """What a restore would do: counts of `restored`, `updated`, `unchanged` and `deleted` entries, and the changes
    by name as far as they are listed."""

    counts: dict[str, int]
    listed: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Staged:
    """A complete tree beside the target, ready to take its place."""

    path: str  # absolute path of the staged tree's root
    inode: int  # of that root: it recognises the swap, because an exchange moves names, not inodes
    files: int
    bytes: int
    warnings: tuple[str, ...] = ()
    fetched: int = 0  # bytes of packs read from the store
    reused: int = 0  # bytes that the live tree still had
    kept: int = 0  # bytes that an earlier attempt had staged
    read_from: str = ""  # the replica that it was read from; empty: the primary store
    fault: str = ""  # what was wrong with the primary store's copy then
    key_fault: bool = False  # it was its key of the tenant, which says nothing about the snapshot


@dataclass(frozen=True, slots=True)
class Exported:
    """A snapshot's data as one archive in the store."""

    key: str
    bytes: int
    sha256: str  # hex, of the object's bytes
    files: int
    left_out: tuple[str, ...] = ()  # paths with an attribute that the archive cannot carry, as far as they are named


@dataclass(frozen=True, slots=True)
class SavedSource:
    """What a snapshot holds of a source."""

    name: str
    kind: str  # SourceKind of the time
    bytes: int


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
    pack_sizes: tuple[int, ...]  # bytes, in the order of `packs`
    include: tuple[str, ...]
    labels: tuple[str, ...]
    skipped: tuple[str, ...]
    unstable: tuple[str, ...]
    parent_id: str | None = None
    configuration: dict[str, Any] | None = field(default=None, repr=False)
    sources: tuple[SavedSource, ...] = ()
    sockets: tuple[str, ...] = ()  # left out, and nothing is lost with them: whoever listens makes its socket anew


def moment_of(text: str) -> int:
    """RFC 3339 with an offset as UTC milliseconds; ValueError otherwise, because a local time can mean two moments."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("at must be a time such as 2026-11-20T09:00:00+01:00") from None
    if moment.tzinfo is None:
        raise ValueError("at must have an offset, such as Z or +01:00")
    return round(moment.timestamp() * 1000)
