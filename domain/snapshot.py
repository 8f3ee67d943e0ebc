"""A restorable state of a service: its record, its labels, and what a request for one may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from domain.errors import InvalidMessage
from domain.verification import READ_BACK


class SnapshotState(StrEnum):
    """A snapshot is invisible until it is AVAILABLE."""

    AVAILABLE = "available"  # every pack is stored with its size, the manifest was read back; it can be restored
    CORRUPT = "corrupt"  # a restore found stored bytes missing or wrong; listed, never a parent, may be tried again
    DELETING = "deleting"  # its objects are being removed; it can no longer be restored


class Consistency(StrEnum):
    """How still the files were while they were read."""

    STABLE = "stable"  # every file was the same before and after it was read
    PARTIAL = "partial"  # some file kept changing or vanished; the manifest lists them


@dataclass(frozen=True, slots=True)
class Label:
    """A free `name:value` pair. Repeats of a name are allowed; order is kept."""

    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Label:
        """Split at the first colon. The prefix `sys.` is kept for Backstay, as is the name `size`."""
        name, colon, value = text.partition(":")
        if not colon or not name.strip() or len(text) > 512 or any(ord(c) < 32 for c in text):
            raise InvalidMessage("a label is name:value, at most 512 printable characters", field="labels")
        if name.startswith("sys.") or name == "size":
            # `size` is a fact that Backstay states; a caller's own value would contradict it.
            raise InvalidMessage(f"the label name {name!r} is reserved for Backstay", field="labels")
        return cls(name, value)

    @classmethod
    def stored(cls, text: str) -> Label:
        """As a manifest has it; it was judged when it was set."""
        name, _, value = text.partition(":")
        return cls(name, value)

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"


#: The label of a snapshot that was taken before a change, as its way back; its value is the operation that changed.
PROTECTS = "sys.protects"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The catalogue's row. Sizes are bytes, times UTC milliseconds."""

    snapshot_id: str  # the id of the operation that made it
    tenant_id: str
    service_id: str
    state: SnapshotState
    taken_at: int
    manifest_key: str
    root_digest: str  # hex; identifies the content of the tree and the configuration
    logical_bytes: int  # sum of file sizes
    stored_bytes: int  # what this snapshot added to the store
    files: int
    consistency: Consistency
    include: tuple[str, ...]  # "configuration", "data" (the directory), "sources"
    parent_id: str | None = None
    labels: tuple[Label, ...] = ()
    packs: tuple[str, ...] = field(default=(), repr=False)  # pack ids the manifest needs
    skipped: tuple[str, ...] = ()  # names of files that were unstable or of an unsupported type
    pinned: str = ""  # why it must be kept
    verified_at: int = 0  # 0: never
    verified_level: str = ""
    fault: str = ""  # what is wrong with it
    changed_at: int = field(default=0, compare=False)  # when its row was last written; 0 before there is one

    @property
    def protects(self) -> bool:
        """Whether it was taken as the way back from a change, and so holds what was to be changed."""
        return any(label.name == PROTECTS for label in self.labels)

    @property
    def read_back(self) -> bool:
        """Whether a verification or a restore has read every byte of it since it was made."""
        return self.verified_level in READ_BACK


@dataclass(frozen=True, slots=True)
class Export:
    """The archive that a snapshot was exported to; gone some time after `expires_at`, UTC milliseconds."""

    snapshot_id: str
    tenant_id: str
    object_key: str
    bytes: int
    sha256: str  # hex, of the archive's bytes
    expires_at: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What a snapshot leaves out: gitignore-like patterns, in order."""

    patterns: tuple[str, ...] = ()
