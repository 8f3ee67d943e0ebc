"""Manifests and pack indexes as they come out of the store, checked.

Apart from writing and restoring, which both begin by reading these. A manifest is accepted under the key
that its own header demands and nowhere else, so one that was copied to another service or tenant is
refused. A sealed manifest opens only with its tenant's key, the configuration of a plain one only with the key
ring, and both only in their place.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from domain.contracts import ObjectStore
from domain.errors import Damaged, InvalidMessage, StoreUnavailable
from domain.restore import ManifestSummary, SavedSource
from storage.archive import envelope, layout, manifest
from storage.archive.cache import Cache
from storage.archive.check import check_flags, tree_from
from storage.archive.manifest import Header, Tree
from storage.archive.pack import PackIndex, index_bytes, read_index
from storage.data_key import DataKey, Keys
from storage.sealing import KeyRing


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A checked manifest: header, tables, sealed configuration, and the key that it was sealed with, if it was."""

    header: Header
    tree: Tree
    sealed: bytes | None
    key: DataKey | None


#: The end of a pack that is fetched at first; its index is rarely longer.
_TAIL = 256 << 10


def fetch_manifest(store: ObjectStore, key: str) -> bytes:
    """The object, if its size is one that a manifest may have. Raises ObjectMissing or Damaged."""
    size = store.size(key)
    if size is not None and size > layout.MANIFEST_LIMIT:
        raise Damaged(f"the manifest {key} has {size} bytes, more than any writer makes")
    return store.get(key)


def read_manifest(blob: bytes, key: str, keys: Keys) -> Opened:
    """The manifest that was found under `key`. Raises Damaged; Refused when it is sealed and its key is not there."""
    opened_with: DataKey | None = None
    try:
        if envelope.is_sealed(blob):
            _check_place(key, *envelope.ids(blob))
            blob, opened_with = envelope.unwrap(blob, keys)
        header, table, sealed = manifest.decode(blob)
        _check_place(key, header.tenant_id, header.service_id, header.snapshot_id)
        tree = tree_from(table)
        check_flags(tree, sealed=opened_with is not None)
        _check_sources(header, tree)
    except Damaged as error:
        raise Damaged(f"manifest {key}: {error}", code=error.code) from error
    return Opened(header, tree, sealed, opened_with)


def refuse_rewritten(store: ObjectStore, keys: Keys, key: str, tree: Tree) -> None:
    """For whoever has found damage: raise StoreUnavailable when it is none, because a repack has put other packs in
    the place of those that `tree` names and they have had their time since."""
    now = read_manifest(fetch_manifest(store, key), key, keys).tree
    if not set(tree.packs) <= set(now.packs):
        raise StoreUnavailable(f"the packs of {key} were rewritten while they were read; they are read again")


@contextlib.contextmanager
def unless_rewritten(store: ObjectStore, keys: Keys, key: str, tree: Tree) -> Iterator[None]:
    """What reads the packs of a manifest that was opened before: see `refuse_rewritten`."""
    try:
        yield
    except Damaged:
        refuse_rewritten(store, keys, key, tree)
        raise


def _check_place(key: str, tenant_id: str, service_id: str, snapshot_id: str) -> None:
    try:
        own = layout.manifest_key(tenant_id, service_id, snapshot_id)
    except InvalidMessage as error:
        raise Damaged(f"it spells ids that nothing has: {error}") from None
    if own != key:
        raise Damaged(f"it is not in its place: it says that it belongs to {own}")


def aad_of(tenant_id: str, service_id: str, snapshot_id: str) -> bytes:
    """What a sealed configuration is bound to."""
    return f"{tenant_id}|{service_id}|{snapshot_id}".encode("ascii")


def open_configuration(opened: Opened, keyring: KeyRing) -> dict[str, Any] | None:
    """The configuration that a manifest holds. Raises Damaged, Refused."""
    header = opened.header
    if opened.sealed is None:
        return None
    # In a sealed manifest by the tenant's key, so that a ring's key that was rotated out is not needed for it.
    sealer = keyring if opened.key is None else opened.key
    plain = sealer.unseal(opened.sealed, aad_of(header.tenant_id, header.service_id, header.snapshot_id))
    try:
        found = json.loads(plain)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Damaged(f"the configuration in snapshot {header.snapshot_id} is not a JSON object")
    return found


def summary(
    key: str, manifest_bytes: int, header: Header, tree: Tree, configuration: dict[str, Any] | None
) -> ManifestSummary:
    """What the rest of the program may know of a snapshot."""
    root = layout.pack_root(header.tenant_id)
    return ManifestSummary(
        snapshot_id=header.snapshot_id,
        tenant_id=header.tenant_id,
        service_id=header.service_id,
        manifest_key=key,
        root_digest=header.root_digest,
        taken_at=header.taken_at,
        logical_bytes=header.logical_bytes,
        stored_bytes=header.pack_bytes + manifest_bytes,
        files=header.files,
        packs=tuple(root + name for name in tree.packs),
        pack_sizes=tuple(tree.pack_bytes.tolist()),
        include=header.include,
        labels=header.labels,
        skipped=tuple(map(printable, tree.skipped)),
        unstable=tuple(map(printable, tree.unstable)),
        sockets=tuple(map(printable, tree.sockets)),
        parent_id=header.parent_id,
        configuration=configuration,
        sources=_sources(header, tree),
    )


def _sources(header: Header, tree: Tree) -> tuple[SavedSource, ...]:
    rows = {path_of(tree, row): row for row in source_rows(tree)}
    prefix = layout.SOURCES.decode() + "/"
    return tuple(
        SavedSource(name, kind, int(tree.size[rows[prefix + name]])) for name, kind in sorted(header.sources.items())
    )


def _check_sources(header: Header, tree: Tree) -> None:
    rows = source_rows(tree)
    kinds = {int(tree.mode[row]) & 0o170000 for row in rows}
    if {tree.names[row].decode("ascii", "replace") for row in rows} != set(header.sources) or kinds - {0o100000}:
        raise Damaged("its header and its table differ about its sources")


def source_rows(tree: Tree) -> list[int]:
    """Rows of the sources' files."""
    place = place_of(tree)
    return [] if place is None else np.nonzero(tree.parent == place)[0].tolist()


def place_of(tree: Tree) -> int | None:
    """The row of the directory that sources are in."""
    if layout.SOURCES not in tree.names:
        return None
    inside = np.nonzero(tree.parent[1:] == 0)[0] + 1
    return next((row for row in inside.tolist() if tree.names[row] == layout.SOURCES), None)


def printable(path: bytes) -> str:
    """A path for people: what cannot be shown on one line is escaped."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def path_of(tree: Tree, row: int) -> str:
    """Where the entry is beneath the root, for people."""
    parts = []
    while row > 0:
        parts.append(tree.names[row])
        row = int(tree.parent[row])
    return printable(b"/".join(reversed(parts)))


class Indexes:
    """Pack indexes of one tenant, from the cache or the store. Safe to share between threads."""

    def __init__(self, store: ObjectStore, pack_root: str, cache: Cache, key: DataKey | None) -> None:
        self._store, self._root, self._cache, self._key = store, pack_root, cache, key
        self._mutex = threading.Lock()
        self.fetched = 0  # bytes

    def load(self, name: str, size: int) -> PackIndex:
        """The index of a pack of `size` bytes. Raises ObjectMissing or Damaged."""
        copy = self._cache.get(name)
        if copy is not None:
            try:
                return read_index(copy, size, name, self._key)
            except Damaged:
                pass  # only the copy is: the object decides
        key = self._root + name
        tail = self._get(key, size, _TAIL)
        wanted = index_bytes(tail, size)
        if wanted > len(tail):
            tail = self._get(key, size, wanted)
        tail = tail[-wanted:]
        index = read_index(tail, size, name, self._key)
        self._cache.put(name, tail)
        return index

    def _get(self, key: str, size: int, most: int) -> bytes:
        """The end of the object."""
        tail = self._store.get(key, max(0, size - most), min(size, most))
        with self._mutex:
            self.fetched += len(tail)
        return tail
