"""The catalogue against the store: making it anew from what is stored, and finding where the two differ.

Apart from the sweeper because a person asks for it, after a database was lost or restored from an older backup.
A listing may lag, so nothing is called missing that was not asked for by its key, and nothing is ever deleted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from domain.contracts import Archive, Catalogue, ObjectStore
from domain.errors import Damaged, KeyUnavailable
from domain.protection import catalogue_row
from domain.restore import ManifestSummary
from domain.snapshot import Label, Snapshot

_MANIFEST = re.compile(r"tenants/([^/]+)/services/([^/]+)/snapshots/([^/]+)/manifest\Z")
_PACK = re.compile(r"tenants/[^/]+/packs/([^/]+)/[0-9a-f]{32}\Z")
#: Parts of the store that are neither snapshots nor foreign.
_OURS = re.compile(r"(tenants/[^/]+/(key|destroyed/[0-9a-f]+|exports/.+)|store/identity)\Z")


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the store lists: keys of manifests by snapshot id, sizes of packs by key, and everything else.

    An id may have several keys: a copy that somebody has put in the wrong place must not hide the right one.
    """

    manifests: dict[str, list[str]] = field(default_factory=dict)
    packs: dict[str, int] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Finding:
    """What was done or found; lists of snapshot ids, of keys, and of (snapshot id, why) or (snapshot id, key, why)."""

    added: list[str] = field(default_factory=list)
    known: int = 0
    passed_over: list[tuple[str, str]] = field(default_factory=list)
    missing: list[tuple[str, str, str]] = field(default_factory=list)
    unknown_manifests: list[str] = field(default_factory=list)
    unknown_packs: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def take_inventory(store: ObjectStore) -> Inventory:
    """List the whole store. A store that refuses the listing raises: it is not taken for an empty one."""
    found = Inventory()
    for info in store.list(""):
        if match := _MANIFEST.match(info.key):
            found.manifests.setdefault(match[3], []).append(info.key)
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
        for snapshot_id, keys in sorted(inventory.manifests.items()):
            if self._catalogue.get(snapshot_id) is not None:
                found.known += 1
            elif why := self._take_in(keys, inventory, write=write, told=told):
                found.passed_over.append((snapshot_id, why))
            else:
                found.added.append(snapshot_id)
        return found

    def _take_in(
        self, keys: Sequence[str], inventory: Inventory, *, write: bool, told: Callable[[str], None]
    ) -> str | None:
        """The first of the keys that holds a whole snapshot; else why none does."""
        reasons = []
        for key in keys:
            told(key)
            try:
                record = self._record(key, inventory)
                if not write or self._catalogue.recover(record):
                    return None
                reasons.append("it is being deleted, or its operation has not ended")
            except (Damaged, KeyUnavailable) as error:
                reasons.append(str(error))
        return "; ".join(reasons)

    def check(self, *, page: int = 500) -> Finding:
        """Objects that the catalogue needs and the store lacks or has in another size, and the reverse. Reads every
        manifest, and of packs what the store lists."""
        inventory, found = take_inventory(self._store), Finding()
        found.foreign = sorted(inventory.foreign)
        seen, before = set(), None
        while rows := self._catalogue.find(None, (), (), page, before):
            before = rows[-1].snapshot_id
            for row in rows:
                seen.add(row.snapshot_id)
                self._look(row, inventory, found)
        going = self._catalogue.condemned()
        for snapshot_id, keys in sorted(inventory.manifests.items()):
            if snapshot_id not in seen and self._catalogue.get(snapshot_id) is None:
                found.unknown_manifests += [key for key in keys if key not in going]
        found.unknown_packs = sorted(inventory.packs.keys() - self._catalogue.known_packs())
        return found

    def _look(self, row: Snapshot, inventory: Inventory, found: Finding) -> None:
        try:
            wrong = self._wrong(self._archive.read(row.manifest_key), inventory)
        except (Damaged, KeyUnavailable) as error:
            wrong = [(row.manifest_key, str(error))]
        if wrong and self._catalogue.get(row.snapshot_id) is not None:  # else deleted meanwhile
            found.missing += [(row.snapshot_id, key, why) for key, why in wrong]
        else:
            found.known += 1

    def _record(self, key: str, inventory: Inventory) -> Snapshot:
        """The row of a manifest whose packs are all there. Raises Damaged."""
        summary = self._archive.read(key)
        for pack, why in self._wrong(summary, inventory):
            raise Damaged(f"its pack {pack} {why}", code="object-missing")
        return catalogue_row(summary, tuple(Label.stored(text) for text in summary.labels))

    def _wrong(self, summary: ManifestSummary, inventory: Inventory) -> list[tuple[str, str]]:
        """(key, why) of each pack that is not there in its size; asked for by its key when the listing lacks it."""
        wrong = []
        for key, wanted in zip(summary.packs, summary.pack_sizes, strict=True):
            size = inventory.packs.get(key)
            if size != wanted:
                size = self._store.size(key)
            if size is None:
                wrong.append((key, "is missing"))
            elif size != wanted:
                wrong.append((key, f"has {size} bytes instead of {wanted}"))
        return wrong
