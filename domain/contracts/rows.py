"""The ports that read domain rows: services, snapshots, garbage.

Apart from the ledger because they decide nothing; rows change only by settling.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.service import Service
from domain.snapshot import Label, Snapshot


class Services(Protocol):
    """Reading services; they change only by settling."""

    def get(self, service_id: str) -> Service | None:
        """The service, whoever owns it."""

    def overlapping(self, node: str | None, directory: str, besides: str) -> str | None:
        """A service other than `besides` on that node whose directory equals, contains or lies in this one."""


class Catalogue(Protocol):
    """The SQL index of snapshots. No method calls the store."""

    def get(self, snapshot_id: str) -> Snapshot | None:
        """The snapshot in any state."""

    def newest(self, service_id: str) -> Snapshot | None:
        """The newest available snapshot of the service that includes data."""

    def find(
        self, tenant_id: str | None, service_ids: Sequence[str], labels: Sequence[Label], limit: int, before: str | None
    ) -> list[Snapshot]:
        """Snapshots that are not being deleted, newest first: of any of the services (all if empty) with all
        of the labels."""

    def garbage(self, limit: int) -> list[Garbage]:
        """Objects that may be removed from the store, manifests first."""

    def live_packs(self, prefix: str) -> set[str]:
        """Keys beneath `prefix` that the pack table names as live."""

    def forget_garbage(self, keys: Iterable[str]) -> None:
        """Drop the rows: their objects are gone."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """A key to delete, or a prefix beneath which every pack that is not live is to be deleted."""

    key: str
    is_prefix: bool
    created_at: int
