"""The ports that read domain rows: services, snapshots, garbage.

Apart from the ledger because they decide nothing; rows change only by settling.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from domain.service import Service
from domain.snapshot import Export, Label, Snapshot
from domain.upgrade_record import UpgradeRecord


class Services(Protocol):
    """Reading services; they change only by settling."""

    def in_group(self, tenant_id: str, group_id: str) -> list[Service]:
        """The services of one instance of an application, by id, with their documents."""

    def get(self, service_id: str) -> Service | None:
        """The service, whoever owns it."""

    def list(self, tenant_id: str | None) -> list[Service]:
        """All services, or a tenant's, by id, with empty documents."""

    def page(self, tenant_ids: Sequence[str] | None, limit: int, after: str | None) -> builtins.list[Service]:
        """As `list`, of any of the tenants (all if None), at most so many, behind the id `after`."""

    def overlapping(self, node: str | None, directory: str, besides: str) -> str | None:
        """A service other than `besides` on that node whose directory equals, contains or lies in this one."""


class Versions(Protocol):
    """Reading published versions."""

    def get(self, tenant_id: str, group_key: str, version: str) -> dict[str, Any] | None:
        """The template; the tenant's own wins over one of the tenant `public`."""

    def list(self, tenant_id: str, group_key: str | None = None) -> list[tuple[str, str, str, int]]:
        """(owner, group_key, version, time of publishing in ms) of what the tenant can see, newest first."""


class UpgradeRecords(Protocol):
    """Reading what upgrades and rollbacks have left behind."""

    def of(self, op_id: str) -> list[UpgradeRecord]:
        """One for each service of the operation, by service id."""

    def history(self, service_id: str, kind: str) -> list[UpgradeRecord]:
        """The service's upgrades or rollbacks, the one that held it last first, by their fences: no clock can turn that
        order round, and a group's upgrade that waited for a member may be passed by one that was accepted later."""

    def changes(self, service_id: str, limit: int, before: str | None = None) -> list[UpgradeRecord]:
        """Both, newest first by acceptance, behind the operation `before`."""

    def held(self, service_id: str) -> list[tuple[str, str, str]]:
        """(group_key, version, reason) of versions that it must not be upgraded to."""


class Catalogue(Protocol):
    """The SQL index of snapshots. No method calls the store."""

    def get(self, snapshot_id: str) -> Snapshot | None:
        """The snapshot in any state."""

    def newest(self, service_id: str, part: str = "data") -> Snapshot | None:
        """The newest available snapshot of the service that includes that part, with its packs."""

    def parent(self, service_id: str, part: str = "data") -> Snapshot | None:
        """What the next snapshot of the service may take over unread: as `newest`, but nothing of it is in a pack that
        a corrupt snapshot of the service has. Which of those packs are damaged is not known."""

    def newest_at(self, service_id: str, at: int) -> Snapshot | None:
        """The newest available snapshot with data that was begun at or before that time, UTC milliseconds."""

    def find(
        self, tenant_id: str | None, service_ids: Sequence[str], labels: Sequence[Label], limit: int, before: str | None
    ) -> list[Snapshot]:
        """Snapshots that are not being deleted, newest first: of any of the services (all if empty) with all
        of the labels."""

    def recover(self, record: Snapshot) -> bool:
        """Take a published snapshot, whose packs are all in the store, into the index. False, and nothing is
        written, when it is there in any state, is being deleted, or belongs to an operation that goes on."""

    def known_packs(self) -> set[str]:
        """Keys of all packs that the index counts or is about to remove."""

    def condemned(self) -> set[str]:
        """Keys of all objects that will be removed, also of those that rest for their readers still."""

    def longest_unread(self, days: int, since: int) -> list[Snapshot]:
        """Of the available snapshots that nobody has read back for so many days, those that were not read for the
        longest time: what is left of the share that one day in `days` has to read, after those that were read
        since that time (UTC milliseconds)."""

    def least_read(self, service_id: str, percent: int) -> list[Snapshot]:
        """That share of the service's available snapshots, at least one if there is any: those that nobody has read
        back for the longest time, first those never read."""

    def export_of(self, snapshot_id: str) -> Export | None:
        """The archive of a snapshot that can still be fetched."""

    def expire_exports(self) -> int:
        """Turn archives whose time is over into garbage; how many."""

    def garbage(self, limit: int, replicas: Sequence[str] = ()) -> list[Garbage]:
        """Objects that may be removed from the store by now, manifests first. What a repack has replaced waits for
        the copies of its tenant's snapshots in those replicas: what one of them holds may be whole only with it."""

    def live_packs(self, prefix: str) -> set[str]:
        """Keys beneath `prefix` that collecting the prefix must leave alone: packs that are live, and condemned
        ones, whose own rows have them removed after the manifests that name them."""

    def forget_garbage(self, keys: Iterable[str]) -> None:
        """Drop the rows: their objects are gone."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """A key to delete, or a prefix beneath which every pack that no row counts is to be deleted."""

    key: str
    is_prefix: bool
    created_at: int
    first: bool = False  # a manifest: what it names must not go before it
