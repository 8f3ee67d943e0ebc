"""The ports of bytes: archive, live trees, and object store.

Apart from SQL because its promise is another: whole or not at all, and found again by its key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from domain.contracts.rows import Garbage
from domain.contracts.sources import Source
from domain.contracts.watch import Watch
from domain.record import SnapshotRecord
from domain.repacking import PackUse, Repacked
from domain.restore import WHOLE, Difference, Exported, ManifestSummary, RestoreMode, Selection, Staged
from domain.snapshot import Label, Snapshot
from domain.verification import Verified, VerifyLevel

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """What `create` needs to know; `directory` is None when data is not included."""

    snapshot_id: str
    tenant_id: str
    service_id: str
    directory: str | None  # absolute path on this node
    configuration: dict[str, Any] | None = field(repr=False)
    labels: tuple[Label, ...] = ()
    exclude: tuple[str, ...] = ()
    parent: Snapshot | None = None  # the newest available snapshot of the service
    sources: tuple[Source, ...] = ()
    taken_at: int | None = None  # UTC milliseconds by the clock that others go by; None: now, by this node's


class Archive(Protocol):
    """Snapshots in the object store, self-contained: manifest and packs."""

    def create(self, request: SnapshotRequest, watch: Watch) -> ManifestSummary:
        """Read the directory, store what is new, publish the manifest last, read it back.

        If a manifest with this snapshot id is already published (an earlier attempt died after it), it
        is adopted: nothing is read again. Where replicas are part of a snapshot's promise they have it whole when
        this returns; an exception may then leave a manifest, which another attempt adopts. Without, it leaves none.
        """

    def import_tar(
        self, request: SnapshotRequest, chain: Sequence[Callable[[], BinaryIO]], strip: int, watch: Watch
    ) -> ManifestSummary:
        """The same from tar archives instead of a directory: functions that open each, in the order in which they
        would be unpacked; more than one are GNU tar's incremental ones. `strip` leading components of names are
        dropped. Refused(code="hostile-archive") or Damaged(code="archive-damaged"), and then nothing is published."""

    def read(self, manifest_key: str) -> ManifestSummary:
        """Fetch and check a manifest; ObjectMissing or Damaged if it is not whole."""

    def stage(
        self,
        manifest_key: str,
        target: str,
        staging: str,
        mode: RestoreMode,
        watch: Watch,
        selection: Selection = WHOLE,
        *,
        verify: bool = False,
    ) -> Staged:
        """Build the complete tree at `staging` (same file system as `target`), every byte verified, files and
        directories fsynced. MERGE adds what only `target` has. Of a selection only that; Refused when the snapshot
        does not have a path.

        Only what neither `target` nor an earlier attempt at `staging` has is fetched; both are believed only as far
        as their bytes are the snapshot's, and `target` is only read. Weather, ShuttingDown and LeaseLost leave what
        is staged for the next attempt, every other failure removes it. `verify` reads the tree back from the disk
        and compares all of it: Refused(code="restored-differently").

        With replicas, a snapshot that the primary store lacks or has damaged, or whose key cannot be read there, is
        read from the first replica that has it whole; `Staged.read_from` says so."""

    def compare(
        self, manifest_key: str, target: str, mode: RestoreMode, watch: Watch, selection: Selection = WHOLE
    ) -> Difference:
        """What `stage` and a swap would change at `target`, told without writing, by names and metadata."""

    def verify(self, manifest_key: str, level: VerifyLevel, watch: Watch) -> Verified:
        """Look at the stored objects and say what is missing or wrong; writes nothing. Everything damaged is
        found, not only the first; StoreUnavailable when the store does not answer. A `restore-test` needs a
        place to restore to and is the caller's: here it is looked at like `hash`."""

    def replica(self, name: str) -> Archive:
        """The same snapshots in the replica of that name; NotFound when there is none."""

    def export(self, manifest_key: str, to: str, watch: Watch) -> Exported:
        """Store the snapshot's data as one plain `.tar.zst` under the key `to`, replacing what is there; Damaged
        or ObjectMissing when it cannot be read, and then there is no such object."""

    def has_export(self, key: str) -> bool:
        """Whether the archive is in the store."""

    def export_key(self, tenant_id: str, op_id: str) -> str:
        """Where that operation puts an archive."""

    def export_record(self, manifest_key: str) -> str:
        """A signed text of one line that `read_record` takes, by which a catalogue that has lost the snapshot can take
        it back; Damaged when the manifest cannot be read."""

    def read_record(self, text: str) -> SnapshotRecord:
        """What the text says, if it was signed with this key ring and is of this store; else Refused, nothing was
        looked at but the store's name."""

    def admit(self, record: SnapshotRecord, watch: Watch) -> ManifestSummary:
        """The snapshot of an authentic record, after it was verified at level `exists`; the configuration is not
        opened. Refused when its manifest was replaced since, Damaged when something of it is not there."""

    def manifest_key(self, tenant_id: str, service_id: str, snapshot_id: str) -> str:
        """Where that snapshot's manifest lives."""

    def pack_prefix(self, tenant_id: str, snapshot_id: str) -> str:
        """The prefix of all packs that the attempts of that snapshot may write."""

    def pack_uses(self, manifest_key: str) -> dict[str, PackUse]:
        """What a snapshot needs of each of its packs, by key; ObjectMissing or Damaged if its manifest is not whole."""

    def rewrite(self, manifest_keys: Sequence[str], packs: Sequence[str], op_id: str, watch: Watch) -> Repacked:
        """Copy what those snapshots need of the packs into new ones beneath the operation's prefix; no manifest
        names them yet. A pack that does not read back whole is left out."""

    def replace_packs(
        self, manifest_key: str, gone: Sequence[str], new: Sequence[str], watch: Watch
    ) -> tuple[str, ...]:
        """Replace the manifest by one that finds its segments in `new` instead of `gone`; the packs that it names
        then. Nothing happens when it names none of `gone`. Contents, id and root digest stay."""

    @property
    def replicas(self) -> Sequence[str]:
        """The names of the stores that get copies of every snapshot."""

    def collect(self, garbage: Sequence[Garbage], live: Callable[[str], set[str]]) -> list[str]:
        """Delete garbage from the store and all replicas, manifests before packs; the keys whose objects are gone."""


class Trees(Protocol):
    """The live directories of this node, all beneath its apps root."""

    def resolve(self, directory: str) -> str:
        """The absolute path of a service's directory; PathEscape if it, or a link in it, leads outside."""

    def staging_path(self, op_id: str, target: str) -> str:
        """Where that operation stages a tree for `target`, which may stand for a live tree that there is not: beneath
        the apps root, outside every live tree."""

    def check_exchange(self, target: str) -> None:
        """Refused for a target that cannot be exchanged without harm, or not by this worker. Ask before anything is
        staged for it, and not again once the exchange may have happened."""

    def is_absent(self, path: str) -> bool:
        """True when there is nothing at that path."""

    def is_empty(self, path: str) -> bool:
        """True when the directory is absent or holds nothing."""

    def swap(self, staging: str, target: str, inode: int, *, into_empty: bool = False) -> bool:
        """Make the staged tree (recognised by `inode`) the live one, atomically and durably. The old
        tree is then at `staging`. Idempotent; False when it had been swapped already. Refused while anything is
        mounted in the old tree, and with `into_empty` while it holds anything (code `target-not-empty`).
        LeaseLost after `swap_back` of the same tree: only a former holder still means to."""

    def swap_back(self, staging: str, target: str, inode: int, *, existed: bool) -> bool:
        """Undo `swap`, if it happened; from then on it is refused. Idempotent. `existed`: there was a tree at `target`
        before; if it is gone now this raises instead of leaving nothing live. Refused while anything is mounted in the
        new tree, which is kept until `discard`."""

    def discard(self, op_id: str) -> None:
        """Remove everything that operation staged or set aside."""

    def staged_operations(self) -> list[str]:
        """Ids of operations that have left something in the staging folder."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One line of a listing."""

    key: str
    size: int


class ObjectStore(Protocol):
    """Where packs and manifests live.

    The world must guarantee: an object appears whole or not at all; after `put` or `create` returned it
    is durable and every reader sees it; deleting is idempotent. Listing may lag behind writes, so no
    decision that destroys data rests on an object being absent from a listing. No clock is trusted.

    Errors: StoreUnavailable for weather (already retried inside the call), ObjectMissing for a key
    that is not there, Refused for denied access or an unusable configuration.
    """

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Write one object from the parts in order, replacing any former one."""

    def put_stream(self, key: str, pieces: Iterable[bytes]) -> None:
        """The same from pieces that are made while they are taken, once and in bounded memory. What `pieces`
        raises ends it, and then there is no object."""

    def link(self, key: str, seconds: int, name: str) -> str | None:
        """An address from which anybody can fetch the object under that file name for so long; None when the
        store has none to give."""

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Write one object if there is none under the key; False if there is one already."""

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of the object; a short read is an error, never a short answer."""

    def size(self, key: str) -> int | None:
        """Bytes of the object; None when it is absent."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in any order."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects; absent ones are fine."""

    def sweep(self, older_than_seconds: int) -> int:
        """Remove what interrupted writes left (temporary files, multipart uploads); how many."""
