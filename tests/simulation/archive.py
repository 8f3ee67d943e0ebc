"""An archive in memory: snapshots of configurations only, published at once and adopted when they are there."""

from __future__ import annotations

import copy

from domain.contracts import SnapshotRequest, Watch
from domain.errors import ObjectMissing
from domain.failpoint import failpoint
from domain.restore import ManifestSummary


class MemoryArchive:
    """As much of the port Archive as upgrades without data need."""

    def __init__(self) -> None:
        self.published: dict[str, ManifestSummary] = {}

    def create(self, request: SnapshotRequest, watch: Watch) -> ManifestSummary:
        watch.check()
        key = self.manifest_key(request.tenant_id, request.service_id, request.snapshot_id)
        if key not in self.published:
            failpoint("archive.before-publish")
            self.published.setdefault(key, _summary(request, key))
            failpoint("archive.after-publish")
        return self.published[key]

    def read(self, manifest_key: str) -> ManifestSummary:
        if manifest_key not in self.published:
            raise ObjectMissing(f"there is no manifest {manifest_key}")
        return copy.deepcopy(self.published[manifest_key])

    def manifest_key(self, tenant_id: str, service_id: str, snapshot_id: str) -> str:
        return f"tenants/{tenant_id}/services/{service_id}/snapshots/{snapshot_id}/manifest"

    def pack_prefix(self, tenant_id: str, snapshot_id: str) -> str:
        return f"tenants/{tenant_id}/packs/{snapshot_id}/"


def _summary(request: SnapshotRequest, key: str) -> ManifestSummary:
    return ManifestSummary(
        snapshot_id=request.snapshot_id, tenant_id=request.tenant_id, service_id=request.service_id, manifest_key=key,
        root_digest="00" * 32, taken_at=1, logical_bytes=0, stored_bytes=1, files=0, packs=(), pack_sizes=(),
        include=("configuration",), labels=tuple(map(str, request.labels)), skipped=(), unstable=(),
        configuration=copy.deepcopy(request.configuration),
    )  # fmt: skip
