"""Rewriting packs of which little is needed: their live segments into new ones, then the manifests that name them.

Apart from collecting, which only removes: here a manifest is replaced under its key. Segments are copied as they
are stored, each opened before, so that a copy is never worse than what it replaces; a pack of which any live segment
does not open is left alone. New packs are in the store before a manifest names them, and nothing is removed here.
Doing any of it again, also half of it, comes to the same.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from domain.contracts import ObjectStore, Watch
from domain.errors import Damaged
from domain.failpoint import failpoint
from domain.repacking import PackUse, Repacked
from storage.archive import envelope, layout, published
from storage.archive.cache import Cache
from storage.archive.manifest import Manifest, Tree, encode
from storage.archive.pack import SEGMENT_ROW, Chunk, PackBuilder, PackIndex
from storage.archive.published import Indexes, Opened
from storage.archive.segment import Opener, Segment
from storage.data_key import DataKey, Keys


def uses(store: ObjectStore, keys: Keys, manifest_key: str) -> dict[str, PackUse]:
    """See the port `Archive`."""
    found = _open(store, keys, manifest_key)
    root, tree = layout.pack_root(found.header.tenant_id), found.tree
    needed: dict[str, PackUse] = {}
    for number, (name, size) in enumerate(zip(tree.packs, tree.pack_bytes.tolist(), strict=True)):
        rows = tree.segments[tree.segments["pack"] == number]
        needed[root + name] = PackUse(size, dict(zip(rows["offset"].tolist(), rows["stored"].tolist(), strict=True)))
    return needed


def rewrite(
    store: ObjectStore, keys: Keys, manifest_keys: Sequence[str], packs: Sequence[str], op_id: str, watch: Watch
) -> Repacked:
    """See the port `Archive`."""
    groups: dict[str, _Group] = {}
    for manifest_key in manifest_keys:
        watch.check()
        found = _open(store, keys, manifest_key)
        root, tree = layout.pack_root(found.header.tenant_id), found.tree
        own = "" if found.key is None else found.key.key_id
        group = groups.setdefault(own, _Group(found.key, root))
        for number, name in enumerate(tree.packs):
            if root + name in packs:
                group.sizes[name] = int(tree.pack_bytes[number])
                live = group.live.setdefault(name, {})
                for row in tree.segments[tree.segments["pack"] == number]:
                    live[int(row["offset"])] = row
    written: list[str] = []
    moved: list[str] = []
    for group in groups.values():
        _Writing(store, group, op_id, watch, written, moved).run()
    return Repacked(tuple(written), tuple(moved))


@dataclass(slots=True)
class _Group:
    """Packs that are sealed with one key, or plain, and which of their segments are needed."""

    key: DataKey | None
    root: str
    sizes: dict[str, int] = field(default_factory=dict)
    live: dict[str, dict[int, np.void]] = field(default_factory=dict)


@dataclass(slots=True)
class _Writing:
    """New packs of one group, filled one after the other; at most one is in memory."""

    store: ObjectStore
    group: _Group
    op_id: str
    watch: Watch
    written: list[str]
    moved: list[str]
    builder: PackBuilder | None = None

    def run(self) -> None:
        """Copy what lives of each pack that is whole."""
        indexes = Indexes(self.store, self.group.root, Cache(None, "", ""), self.group.key)
        for name in sorted(self.group.live):
            self.watch.check()
            try:
                segments = self._segments(name, indexes.load(name, self.group.sizes[name]))
            except Damaged:
                continue  # verifying tells; what is there is not touched
            for segment, chunks in segments:
                self._add(segment, chunks)
            self.moved.append(self.group.root + name)
        self._store()

    def _segments(self, name: str, index: PackIndex) -> list[tuple[Segment, list[Chunk]]]:
        """The live segments of a pack, opened once, with their chunks. Damaged when any is not what it was."""
        opener, found = Opener(self.group.key), []
        rows = {int(row["offset"]): number for number, row in enumerate(index.segments)}
        for offset, row in sorted(self.group.live[name].items()):
            number = rows.get(offset)
            if number is None or index.segments[number]["digest"].tobytes() != row["digest"].tobytes():
                raise Damaged(f"pack {name} and a manifest differ about the segment at byte {offset}")
            stored = self.store.get(self.group.root + name, offset, int(row["stored"]))
            opener.open(memoryview(stored), row)
            mine = np.nonzero(index.chunk_segment == number)[0].tolist()
            chunks = [(index.chunk_id[i].tobytes(), int(index.chunk_length[i])) for i in mine]
            found.append((Segment(stored, int(row["plain"]), int(row["flags"]), row["digest"].tobytes()), chunks))
            self.watch.advance(len(stored))
        return found

    def _add(self, segment: Segment, chunks: list[Chunk]) -> None:
        if self.builder is None:
            self.builder = PackBuilder(f"{self.op_id}/{secrets.token_hex(16)}", self.group.key)
        self.builder.add(segment, chunks)
        if self.builder.full:
            self._store()

    def _store(self) -> None:
        """Put the pack that is being filled, and look for it."""
        if self.builder is None:
            return
        builder, self.builder = self.builder, None
        key, parts = self.group.root + builder.name, builder.finish()
        self.watch.check()
        failpoint("repack.before-pack")
        self.store.put(key, parts)
        failpoint("repack.after-pack")
        if self.store.size(key) != builder.size:
            raise Damaged(f"pack {key} is not in the store as it was just stored")
        self.written.append(key)


def replace(
    store: ObjectStore, keys: Keys, manifest_key: str, gone: Iterable[str], new: Iterable[str], watch: Watch
) -> tuple[str, ...]:
    """See the port `Archive`."""
    found = _open(store, keys, manifest_key)
    root = layout.pack_root(found.header.tenant_id)
    old = {key.removeprefix(root) for key in gone}
    if not old.isdisjoint(found.tree.packs):
        tree = _moved(found.tree, old, _places(store, root, found.key, new))
        blob = encode(Manifest(found.header, tree, found.sealed))
        if found.key is not None:
            blob = envelope.wrap(blob, found.header, found.key)
        published.read_manifest(blob, manifest_key, keys)  # what could not be read again is not put
        watch.check()
        failpoint("repack.before-manifest")
        store.put(manifest_key, [blob])
        failpoint("repack.after-manifest")
        if store.get(manifest_key) != blob:
            raise Damaged(f"manifest {manifest_key} reads back as other bytes than were stored")
        found = dataclasses.replace(found, tree=tree)
    return tuple(root + name for name in found.tree.packs)


_Place = tuple[str, int, np.void]  # pack, its bytes, the segment's row in its index


def _places(store: ObjectStore, root: str, key: DataKey | None, new: Iterable[str]) -> dict[bytes, _Place]:
    """Where each segment is now, by digest; packs that are sealed otherwise are another group's."""
    indexes, found = Indexes(store, root, Cache(None, "", ""), key), {}
    for pack in new:
        size, name = store.size(pack), pack.removeprefix(root)
        if size is None:
            raise Damaged(f"pack {pack} was stored and is gone")
        try:
            index = indexes.load(name, size)
        except Damaged:
            continue
        for row in index.segments:
            found[row["digest"].tobytes()] = (name, size, row)
    return found


def _moved(tree: Tree, gone: set[str], places: dict[bytes, _Place]) -> Tree:
    """The same tree with its segments at their new places. Damaged when one has none."""
    sizes = {name: size for name, size in zip(tree.packs, tree.pack_bytes.tolist(), strict=True) if name not in gone}
    names: list[str] = []
    rows: NDArray[np.void] = tree.segments.copy()
    for number, row in enumerate(tree.segments):
        name = tree.packs[int(row["pack"])]
        if name in gone:
            place = places.get(row["digest"].tobytes())
            if place is None:
                raise Damaged(f"a segment of pack {name} is in none of the new packs")
            name, sizes[place[0]], rows[number] = place[0], place[1], place[2]
        names.append(name)
    packs = sorted(set(names))
    number_of = {name: number for number, name in enumerate(packs)}
    rows["pack"] = [number_of[name] for name in names]
    order = rows["pack"].astype(np.uint64) << np.uint64(32) | rows["offset"].astype(np.uint64)
    _, first, inverse = np.unique(order, return_index=True, return_inverse=True)
    real = tree.extent_segment != layout.HOLE
    extents = tree.extent_segment.copy()
    extents[real] = inverse[tree.extent_segment[real]]
    return dataclasses.replace(
        tree,
        extent_segment=extents,
        segments=rows[first].astype(SEGMENT_ROW),
        packs=packs,
        pack_bytes=np.array([sizes[name] for name in packs], np.int64),
    )


def _open(store: ObjectStore, keys: Keys, manifest_key: str) -> Opened:
    return published.read_manifest(published.fetch_manifest(store, manifest_key), manifest_key, keys)
