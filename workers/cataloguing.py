"""The catalogue against the store: making it anew from what is stored, and finding where the two differ.

Apart from the sweeper because a person asks for it, after a database was lost or restored from an older backup.
A listing may lag, so nothing is called missing that was not asked for by its key, and nothing is ever deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.contracts import Archive, Catalogue, ObjectStore
from domain.errors import Damaged, KeyUnavailable
from domain.protection import catalogue_row
from domain.snapshot import Label, Snapshot

_MANIFEST = re.compile(r"tenants/([^/]+)/services/([^/]+)/snapshots/([^/]+)/manifest\Z")
_PACK = re.compile(r"tenants/[^/]+/packs/([^/]+)/[0-9a-f]{32}\Z")
#: Parts of the store that are neither snapshots nor foreign.
_OURS = re.compile(r"tenants/[^/]+/(key|destroyed/[0-9a-f]+|exports/.+)\Z")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the store lists: keys of manifests by snapshot id, sizes of packs by key, and everything else."""

    manifests: dict[str, str] = field(default_factory=dict)
    packs: dict[str, int] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Finding:
    """What was done or found; lists of snapshot ids, of keys, and of (snapshot id or key, why)."""

    added: list[str] = field(default_factory=list)
    known: int = 0
    passed_over: list[tuple[str, str]] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    unknown_manifests: list[str] = field(default_factory=list)
    unknown_packs: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def take_inventory(store: ObjectStore) -> Inventory:
    """List the whole store. A store that refuses the listing raises: it is not taken for an empty one."""
    found = Inventory()
    for info in store.list(""):
        if match := _MANIFEST.match(info.key):
            found.manifests[match[3]] = info.key
        elif _PACK.match(info.key):
            found.packs[info.key] = info.size
        elif not _OURS.match(info.key):
            found.foreign.append(info.key)
    return found


class Cataloguing:
    """The two looks at one store and one catalogue."""

    def __init__(self, store: ObjectStore, archive: Archive, catalogue: Catalogue) -> None:
        self._store, self._archive, self._catalogue = store, archive, catalogue

    def rebuild(self, *, write: bool, told: Callable[[str], None]) -> Finding:
        """Take every whole snapshot that the catalogue lacks; with `write` false only say which. `told(key)` is
        called for every manifest that is read."""
        inventory, found = take_inventory(self._store), Finding()
        found.foreign = sorted(inventory.foreign)
        for snapshot_id, key in sorted(inventory.manifests.items()):
            if self._catalogue.get(snapshot_id) is not None:
                found.known += 1
                continue
            told(key)
            try:
                record = self._record(key, inventory)
                taken = self._catalogue.recover(record) if write else True
            except (Damaged, KeyUnavailable) as error:
                found.passed_over.append((snapshot_id, str(error)))
                continue
            if taken:
                found.added.append(snapshot_id)
            else:
                found.passed_over.append((snapshot_id, "it is being deleted, or its operation has not ended"))
        return found

    def check(self, *, page: int = 500) -> Finding:
        """Objects that the catalogue names and the store lacks, and the reverse."""
        inventory, found = take_inventory(self._store), Finding()
        found.foreign = sorted(inventory.foreign)
        seen, before = set(), None
        while rows := self._catalogue.find(None, (), (), page, before):
            before = rows[-1].snapshot_id
            for row in rows:
                seen.add(row.snapshot_id)
                self._look(row, inventory, found)
        for snapshot_id, key in sorted(inventory.manifests.items()):
            if snapshot_id not in seen and self._catalogue.get(snapshot_id) is None:
                found.unknown_manifests.append(key)
        found.unknown_packs = sorted(inventory.packs.keys() - self._catalogue.known_packs())
        return found

    def _look(self, row: Snapshot, inventory: Inventory, found: Finding) -> None:
        whole = self._catalogue.get(row.snapshot_id)
        if whole is None:
            return  # deleted meanwhile
        needed = [*whole.packs] if row.snapshot_id in inventory.manifests else [row.manifest_key, *whole.packs]
        gone = [key for key in needed if key not in inventory.packs and self._store.size(key) is None]
        if gone and self._catalogue.get(row.snapshot_id) is not None:
            found.missing += [(row.snapshot_id, key) for key in gone]
        else:
            found.known += 1

    def _record(self, key: str, inventory: Inventory) -> Snapshot:
        """The row of a manifest whose packs are all there. Raises Damaged."""
        summary = self._archive.read(key)
        for pack in summary.packs:
            if pack not in inventory.packs and self._store.size(pack) is None:
                raise Damaged(f"its pack {pack} is missing", code="object-missing")
        return catalogue_row(summary, tuple(_label(text) for text in summary.labels))


def _label(text: str) -> Label:
    """As it was stored; it was judged when it was set."""
    name, _, value = text.partition(":")
    return Label(name, value)
