"""The port `Archive` over an object store: one method, one module behind it.

Apart from those modules, so that each of them takes only what it needs. Holds no state of its own and may
be shared between threads; every call makes its own threads and has ended them when it returns. What making a
snapshot does not need is imported by the call that needs it: a process may live for one call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import BinaryIO

from domain.contracts import Archive, Garbage, SnapshotRequest, Watch
from domain.errors import NotFound, Refused
from domain.record import SnapshotRecord
from domain.repacking import PackUse, Repacked
from domain.restore import WHOLE, Difference, Exported, ManifestSummary, RestoreMode, Selection, Staged
from domain.verification import Verified, VerifyLevel
from storage.archive import layout, published, repack, writer
from storage.archive.published import Opened


class StoreArchive:
    """Snapshots in one object store."""

    def __init__(self, tools: writer.Tools) -> None:
        self._tools = tools

    def create(self, request: SnapshotRequest, watch: Watch) -> ManifestSummary:
        """See the port."""
        return writer.create(self._tools, request, watch)

    def import_tar(
        self, request: SnapshotRequest, chain: Sequence[Callable[[], BinaryIO]], strip: int, watch: Watch
    ) -> ManifestSummary:
        """See the port."""
        taken_at = self._tools.wall_ms() if request.taken_at is None else request.taken_at
        from storage.archive import importing

        return writer.create(self._tools, request, watch, importing.feed(chain, strip, taken_at, watch))

    def read(self, manifest_key: str) -> ManifestSummary:
        """See the port."""
        blob = published.fetch_manifest(self._tools.store, manifest_key)
        found = published.read_manifest(blob, manifest_key, self._tools.keys)
        configuration = published.open_configuration(found, self._tools.keys.keyring)
        return published.summary(manifest_key, len(blob), found.header, found.tree, configuration)

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
        from storage.archive import stage

        found = self._selected(manifest_key, selection, target)
        tools = self._tools
        order = stage.Order(
            tools.store,
            tools.cache_dir,
            tools.threads,
            found,
            manifest_key,
            target,
            staging,
            mode,
            verify,
            tools.keep_free,
        )
        with published.unless_rewritten(tools.store, tools.keys, manifest_key, found.tree):
            return stage.stage(order, watch)

    def compare(
        self, manifest_key: str, target: str, mode: RestoreMode, watch: Watch, selection: Selection = WHOLE
    ) -> Difference:
        """See the port."""
        from storage.archive import compare

        found = self._selected(manifest_key, selection, target)
        # A selection never removes anything beside it.
        mode = mode if not selection.paths else RestoreMode.MERGE
        return compare.compare(found.tree, target, mode, watch)

    def _selected(self, manifest_key: str, selection: Selection, target: str) -> Opened:
        from storage.archive.choose import only_sources, select, without_sources

        blob = published.fetch_manifest(self._tools.store, manifest_key)
        found = published.read_manifest(blob, manifest_key, self._tools.keys)
        header, tree = found.header, found.tree
        if selection.sources:
            if missing := set(selection.sources) - set(header.sources):
                raise Refused(f"snapshot {header.snapshot_id} holds no source {min(missing)}", code="not-in-snapshot")
            return dataclasses.replace(found, tree=only_sources(tree, selection.sources))
        if "data" not in header.include:
            raise Refused(f"snapshot {header.snapshot_id} holds no data", code="not-in-snapshot")
        tree = without_sources(tree) if header.sources else tree
        return dataclasses.replace(found, tree=tree if selection.is_whole() else select(tree, selection, target))

    def verify(self, manifest_key: str, level: VerifyLevel, watch: Watch) -> Verified:
        """See the port."""
        from storage.archive import verify

        return verify.verify(self._tools.store, self._tools.keys, manifest_key, level, watch)

    def replica(self, name: str) -> Archive:
        """Of one store there are none."""
        raise no_replica(name)

    def export(self, manifest_key: str, to: str, watch: Watch) -> Exported:
        """See the port."""
        from storage.archive import export

        return export.export(self._tools.store, self._tools.keys, manifest_key, to, watch)

    def has_export(self, key: str) -> bool:
        """See the port."""
        return self._tools.store.size(key) is not None

    def export_key(self, tenant_id: str, op_id: str) -> str:
        """See the port."""
        return layout.export_key(tenant_id, op_id)

    def export_record(self, manifest_key: str) -> str:
        """See the port."""
        from storage.archive import records

        return records.make(self._tools.store, self._tools.keys, manifest_key)

    def read_record(self, text: str) -> SnapshotRecord:
        """See the port."""
        from storage.archive import records

        return records.read(self._tools.store, self._tools.keys.keyring, text)

    def admit(self, record: SnapshotRecord, watch: Watch) -> ManifestSummary:
        """See the port."""
        from storage.archive import records

        return records.admit(self._tools.store, self._tools.keys, record, watch)

    def manifest_key(self, tenant_id: str, service_id: str, snapshot_id: str) -> str:
        """See the port."""
        return layout.manifest_key(tenant_id, service_id, snapshot_id)

    def pack_prefix(self, tenant_id: str, snapshot_id: str) -> str:
        """See the port."""
        return layout.pack_prefix(tenant_id, snapshot_id)

    def pack_uses(self, manifest_key: str) -> dict[str, PackUse]:
        """See the port."""
        return repack.uses(self._tools.store, self._tools.keys, manifest_key)

    def rewrite(self, manifest_keys: Sequence[str], packs: Sequence[str], op_id: str, watch: Watch) -> Repacked:
        """See the port."""
        return repack.rewrite(self._tools.store, self._tools.keys, manifest_keys, packs, op_id, watch)

    def replace_packs(
        self, manifest_key: str, gone: Sequence[str], new: Sequence[str], watch: Watch
    ) -> tuple[str, ...]:
        """See the port."""
        return repack.replace(self._tools.store, self._tools.keys, manifest_key, gone, new, watch)

    @property
    def replicas(self) -> Sequence[str]:
        """See the port."""
        return ()

    def collect(self, garbage: Sequence[Garbage], live: Callable[[str], set[str]]) -> list[str]:
        """See the port."""
        from storage.archive import sweep

        return sweep.collect(self._tools.store, garbage, live)


def no_replica(name: str) -> NotFound:
    """The setting does not name it."""
    return NotFound(
        f"there is no replica {name}",
        code="unknown-replica",
        next_step="`backstay replicas` lists those that BACKSTAY_REPLICAS names on this node",
    )
