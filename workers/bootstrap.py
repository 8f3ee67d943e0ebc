"""The composition root: the only module that knows which storage stands behind which port.

Everything is made when it is asked for and nothing at import, so that `backstay operations list` opens
the database and never the store. Each function takes the settings and answers with ports.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import os
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from domain.ability import Ability
from domain.contracts import Archive, Hooks, ObjectStore, Places, Sources, Trees
from domain.errors import Refused
from domain.region import Region
from domain.service import Service
from domain.source import HookSettings
from workers import ring_file
from workers.clock import SystemClock
from workers.config import Settings
from workers.tracing import Tracer

if TYPE_CHECKING:
    from storage.archive import ReplicatedArchive
    from storage.archive import TenantKeys as TenantKeys  # and these
    from storage.sealing import KeyRing
    from storage.sql import Database as Database  # named again so that commands can annotate
    from storage.throttle import Budget

NEW_ENTRY = (
    "`backstay keys rotate --entry` prints a new one: append it to BACKSTAY_SECRET_KEYS on every node and restart "
    "them, then put it first on every node and restart them, then run `backstay keys rewrap`"
)
PACKAGES = ("workers", "handlers", "domain", "storage")


def version() -> str:
    """The installed version, or that of the checkout."""
    try:
        return importlib.metadata.version("backstay-worker")
    except importlib.metadata.PackageNotFoundError:
        return "0+checkout"


def check_packages() -> None:
    """Refuse to run when one of the four packages is somebody else's: their names are generic."""
    homes = {}
    for name in PACKAGES:
        file = importlib.import_module(name).__file__ or ""
        homes[name] = os.path.dirname(os.path.dirname(os.path.realpath(file)))
    if len(set(homes.values())) != 1:
        places = ", ".join(f"{name} from {home}" for name, home in homes.items())
        raise Refused(
            f"the packages of Backstay come from different places: {places}",
            code="shadowed-packages",
            next_step="install Backstay in an environment of its own",
        )


def new_key() -> str:
    """A fresh key ring of one random key, in the form that BACKSTAY_SECRET_KEYS takes."""
    from storage.sealing import KeyRing

    return KeyRing.generate_text()


class System:
    """The ports of one configuration, opened on first use. `close()` closes what was opened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def keyring(self) -> KeyRing:
        """The key ring from the settings, or the embedded one, made on first use (mode 0600)."""
        from storage.sealing import KeyRing

        if self.settings.secret_keys is not None:
            return KeyRing.parse(self.settings.secret_keys)
        path = os.path.join(self.settings.data_dir, "secret.keys")
        return KeyRing.parse(ring_file.read_or_make(path, new_key), lambda: ring_file.read_or_make(path, new_key))

    @cached_property
    def database(self) -> Database:
        """SQL, whatever its state; callers that need the schema ask `check_schema`."""
        from storage.sql import open_database

        ring_file.make_private(self.settings.data_dir)
        readers_ms = self.settings.reader_grace_seconds * 1000
        return open_database(
            self.settings.database_url,
            self.keyring,
            readers_ms=readers_ms,
            rolled_back_letters=self.settings.rolled_back_letters,
            # Whoever says nothing for the length of a lease has lost what its transaction holds anyway.
            idle_ms=self.settings.lease_seconds * 1000,
        )

    @cached_property
    def store(self) -> ObjectStore:
        """Where snapshots are kept."""
        return self._store_at(self.settings.store_url)

    def examine_store(self, replica: str | None = None) -> tuple[Ability, ...]:
        """Find out what the store, or a replica, can do; writes and removes some small objects."""
        from storage.probe import examine

        return examine(self.store if replica is None else self.replica_stores[replica])

    @cached_property
    def replica_stores(self) -> dict[str, ObjectStore]:
        """Further stores of snapshots, by name."""
        return {name: self._store_at(url, name) for name, url in (self.settings.replicas or {}).items()}

    def _store_at(self, url: str, replica: str = "") -> ObjectStore:
        """The store; a folder as one that this node would know again, under another name of a replica as a new one."""
        from storage.remembered import RememberedStore
        from storage.store import open_store

        store, address = open_store(url), urlsplit(url)
        if address.scheme != "file":
            return store
        known_as = f"{replica}={url}" if replica else url
        memory = os.path.join(self.settings.data_dir, "stores", hashlib.sha256(known_as.encode()).hexdigest()[:16])
        return RememberedStore(store, f"the folder {unquote(address.path)}", memory)

    @cached_property
    def archive(self) -> Archive:
        """Snapshots in the store, and in its replicas if there are any."""
        return self.replicated or self._archive_in(self._limited(self.store))

    @cached_property
    def replicated(self) -> ReplicatedArchive | None:
        """The archive as one that copies; None without replicas."""
        if not self.replica_stores:
            return None
        from storage.archive import ReplicatedArchive, TenantKeys

        copies = {name: self._limited(store) for name, store in self.replica_stores.items()}
        replicas = {name: (self._archive_in(store), store) for name, store in copies.items()}
        primary = self._limited(self.store)
        return ReplicatedArchive(
            self._archive_in(primary),
            primary,
            TenantKeys(self.store, self.keyring),
            replicas,
            wait_for_copies=self.settings.replica_policy == "all",
        )

    def _archive_in(self, store: ObjectStore) -> Archive:
        from storage.archive import open_archive

        cache = os.path.join(self.settings.data_dir, "cache")
        return open_archive(
            store,
            self.keyring,
            encryption=self.settings.encryption,
            cache_dir=cache,
            keep_free=self.settings.keep_free,
        )

    def _limited(self, store: ObjectStore) -> ObjectStore:
        """The store, taking and giving no more bytes than this process may; all of them share the two budgets."""
        if self._budgets == (None, None):
            return store
        from storage.throttle import ThrottledStore

        return ThrottledStore(store, *self._budgets)

    @cached_property
    def _budgets(self) -> tuple[Budget | None, Budget | None]:
        """This process's part of what the node may send and fetch."""
        settings = self.settings
        if settings.upload_limit is None and settings.download_limit is None:
            return None, None
        from storage.throttle import Budget

        up, down = settings.upload_limit, settings.download_limit
        share = settings.processes
        return (None if up is None else Budget(up // share)), (None if down is None else Budget(down // share))

    @cached_property
    def tenant_keys(self) -> TenantKeys:
        """The data keys of tenants."""
        from storage.archive import TenantKeys

        return TenantKeys(self.store, self.keyring)

    @cached_property
    def every_tenant_keys(self) -> list[TenantKeys]:
        """Those of the store, then those of each replica: what ends or renews a key has to reach all of them."""
        from storage.archive import TenantKeys

        return [self.tenant_keys, *(TenantKeys(store, self.keyring) for store in self.replica_stores.values())]

    def plain_snapshots(self, prefix: str = "tenants/") -> Iterator[tuple[str, str | None]]:
        """Keys of manifests that are not sealed, and the ring's key that sealed their configuration, if they hold one;
        reads a few bytes of every manifest beneath `prefix`."""
        from storage.archive import plain_manifests

        return plain_manifests(self.store, prefix)

    def new_ring_entry(self) -> str:
        """A fresh key for the ring, under an id that the ring does not have; changes nothing."""
        from storage.sealing import new_entry

        return new_entry(self.keyring.names)

    def rotate_embedded_keys(self) -> str:
        """Put a fresh key before the others in the embedded ring; its id. Refused if the ring is configured."""
        if self.settings.secret_keys is not None:
            raise Refused(
                "the key ring is configured, so only who configures it can change it",
                code="configured-key-ring",
                next_step=NEW_ENTRY,
            )
        path = os.path.join(self.settings.data_dir, "secret.keys")
        text, entry = ring_file.read_or_make(path, new_key), self.new_ring_entry()
        ring_file.replace(path, f"{entry},{text}\n")
        return entry.partition(":")[0]

    @cached_property
    def trees(self) -> Trees:
        """The live directories of this node."""
        from storage.archive import open_trees

        os.makedirs(self.settings.apps_root, mode=0o755, exist_ok=True)
        return open_trees(self.settings.apps_root)

    @cached_property
    def sources(self) -> Sources:
        """Data of services that is not in their directories."""
        from storage.sources import open_sources

        return open_sources(self.settings.sources or {}, self._directory, self._locks)

    @cached_property
    def hooks(self) -> Hooks:
        """This node's programs around snapshots and restores."""
        from storage.sources import open_hooks

        return open_hooks(self.settings.hooks or HookSettings(), self._directory, self._locks)

    @cached_property
    def places(self) -> Places:
        """Where archives of others lie."""
        from storage.places import NodePlaces

        return NodePlaces(self.settings.places or {})

    def _directory(self, service: Service) -> str:
        return self.trees.resolve(service.directory)

    @property
    def _locks(self) -> str:
        return os.path.join(self.settings.data_dir, "locks")

    @cached_property
    def region(self) -> Region:
        """The platform's control planes, by name; BACKSTAY_REGION_URL is the one called `default`."""
        from workers.region_client import HttpRegion
        from workers.regions import known_regions

        known = known_regions(self.settings.regions, self.settings.region_url)
        return HttpRegion(known, SystemClock(), self.tracer)

    @cached_property
    def tracer(self) -> Tracer:
        """Where spans go, if anywhere."""
        from workers.telemetry import open_tracer

        return open_tracer(self.settings)

    def close(self) -> None:
        """Close connections; files need no closing."""
        if "tracer" in self.__dict__:
            self.tracer.close()
        if "database" in self.__dict__:
            self.database.close()
