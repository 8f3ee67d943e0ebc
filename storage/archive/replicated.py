"""The port `Archive` over a primary store and replicas, each of which holds snapshots of its own.

Apart from the archive of one store, which knows nothing of others: here is only what having several means. Snapshots
are made in the primary. Under the policy `all` they are copied before anybody hears of them; under `primary` somebody
else asks for the copies later. What the primary lacks or has damaged is read from a replica, never because the
primary does not answer: that is weather, and waited for. A snapshot is read from one store, never pieced together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO, TypeVar

from domain.contracts import Archive, Garbage, ObjectStore, SnapshotRequest, Watch
from domain.errors import BackstayError, Damaged, KeyUnavailable, KeyUnreadable, StoreUnavailable
from domain.record import SnapshotRecord
from domain.repacking import PackUse, Repacked
from domain.restore import WHOLE, Difference, Exported, ManifestSummary, RestoreMode, Selection, Staged
from domain.verification import Verified, VerifyLevel
from storage.archive.archive import no_replica
from storage.archive.tenant_keys import TenantKeys

T = TypeVar("T")


class ReplicatedArchive:
    """One archive over several stores. Safe to share between threads."""

    def __init__(
        self,
        primary: Archive,
        store: ObjectStore,
        keys: TenantKeys,
        replicas: Mapping[str, tuple[Archive, ObjectStore]],
        *,
        wait_for_copies: bool,
    ) -> None:
        """`primary` and `keys` are those of `store`; `replicas` by name, in the order in which they are read."""
        self._primary, self._store, self._keys, self._replicas = primary, store, keys, replicas
        self._wait_for_copies = wait_for_copies

    def copy(self, name: str, manifest_key: str, check: Callable[[], None], *, anew: bool = False) -> int:
        """Make that replica hold the snapshot; bytes written. See `copying.copy`; errors name the replica."""
        if name not in self._replicas:
            raise no_replica(name)
        from storage.archive import copying

        try:
            return copying.copy(self._store, self._replicas[name][1], self._keys, manifest_key, check, anew=anew)
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"the snapshot could not be copied to replica {name}: {error}", next_step=error.next_step
            ) from error

    def create(self, request: SnapshotRequest, watch: Watch) -> ManifestSummary:
        """See the port."""
        return self._everywhere(self._primary.create(request, watch), watch)

    def import_tar(
        self, request: SnapshotRequest, chain: Sequence[Callable[[], BinaryIO]], strip: int, watch: Watch
    ) -> ManifestSummary:
        """See the port."""
        return self._everywhere(self._primary.import_tar(request, chain, strip, watch), watch)

    def _everywhere(self, made: ManifestSummary, watch: Watch) -> ManifestSummary:
        """The snapshot, in every replica if nobody is to hear of it before."""
        self._copy_now(made.manifest_key, watch)
        return made

    def _copy_now(self, manifest_key: str, watch: Watch) -> None:
        for name in self._replicas if self._wait_for_copies else ():
            self.copy(name, manifest_key, watch.check)

    def read(self, manifest_key: str) -> ManifestSummary:
        """See the port."""
        return self._first(lambda archive: archive.read(manifest_key))[0]

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
        """See the port."""
        staged, name, error = self._first(
            lambda archive: archive.stage(manifest_key, target, staging, mode, watch, selection, verify=verify)
        )
        if error is None:
            return staged
        return dataclasses.replace(staged, read_from=name, fault=str(error), key_fault=isinstance(error, KeyUnreadable))

    def compare(
        self, manifest_key: str, target: str, mode: RestoreMode, watch: Watch, selection: Selection = WHOLE
    ) -> Difference:
        """See the port."""
        return self._first(lambda archive: archive.compare(manifest_key, target, mode, watch, selection))[0]

    def _first(self, read: Callable[[Archive], T]) -> tuple[T, str, BackstayError | None]:
        """What reading gives, the replica that gave it, and why it was not the primary. Of keys only one that cannot
        be read: what was destroyed in the primary is gone, though a replica may have it still."""
        try:
            return read(self._primary), "", None
        except (Damaged, KeyUnreadable) as error:
            for name, (archive, _) in self._replicas.items():
                try:
                    return read(archive), name, error
                except (Damaged, KeyUnavailable, StoreUnavailable):
                    continue  # the primary's own trouble is what a person has to hear of
            raise

    def verify(self, manifest_key: str, level: VerifyLevel, watch: Watch) -> Verified:
        """Of the primary alone: ask a `replica` for its own."""
        return self._primary.verify(manifest_key, level, watch)

    def replica(self, name: str) -> Archive:
        """See the port."""
        if name not in self._replicas:
            raise no_replica(name)
        return self._replicas[name][0]

    def export(self, manifest_key: str, to: str, watch: Watch) -> Exported:
        """From the primary to the primary: an archive can be made again, so it is not copied."""
        return self._primary.export(manifest_key, to, watch)

    def has_export(self, key: str) -> bool:
        """See the port."""
        return self._primary.has_export(key)

    def export_key(self, tenant_id: str, op_id: str) -> str:
        """See the port."""
        return self._primary.export_key(tenant_id, op_id)

    def export_record(self, manifest_key: str) -> str:
        """See the port."""
        return self._primary.export_record(manifest_key)

    def read_record(self, text: str) -> SnapshotRecord:
        """See the port."""
        return self._primary.read_record(text)

    def admit(self, record: SnapshotRecord, watch: Watch) -> ManifestSummary:
        """See the port."""
        return self._primary.admit(record, watch)

    def manifest_key(self, tenant_id: str, service_id: str, snapshot_id: str) -> str:
        """See the port."""
        return self._primary.manifest_key(tenant_id, service_id, snapshot_id)

    def pack_prefix(self, tenant_id: str, snapshot_id: str) -> str:
        """See the port."""
        return self._primary.pack_prefix(tenant_id, snapshot_id)

    def pack_uses(self, manifest_key: str) -> dict[str, PackUse]:
        """See the port."""
        return self._primary.pack_uses(manifest_key)

    def rewrite(self, manifest_keys: Sequence[str], packs: Sequence[str], op_id: str, watch: Watch) -> Repacked:
        """In the primary; the new packs reach replicas with the manifests."""
        return self._primary.rewrite(manifest_keys, packs, op_id, watch)

    def replace_packs(
        self, manifest_key: str, gone: Sequence[str], new: Sequence[str], watch: Watch
    ) -> tuple[str, ...]:
        """See the port. What replicas hold of the snapshot is then owed to them anew, or copied at once."""
        packs = self._primary.replace_packs(manifest_key, gone, new, watch)
        self._copy_now(manifest_key, watch)
        return packs

    @property
    def replicas(self) -> Sequence[str]:
        """See the port."""
        return tuple(self._replicas)

    def collect(self, garbage: Sequence[Garbage], live: Callable[[str], set[str]]) -> list[str]:
        """See the port. A replica that does not answer keeps the rows of what it may still hold."""
        gone = self._primary.collect(garbage, live)
        for archive, _ in self._replicas.values():
            gone = archive.collect(garbage, live)
        return gone
