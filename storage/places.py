"""Archives of others, in folders or buckets that this node's configuration names.

Apart from the store of snapshots because nothing is ever written here, and because a message may name a place but
never an address.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from domain.contracts import ObjectInfo, ObjectStore
from domain.errors import Refused
from storage.object_keys import check_foreign_key
from storage.store import open_store

#: Bytes fetched at once.
_PIECE = 8 << 20


class NodePlaces:
    """See the port `Places`."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """Addresses by name, as of a store."""
        self._known = known

    def open(self, place: str, key: str) -> BinaryIO:
        """See the port."""
        store = self._store(place)
        size = store.size(key)
        if size is None:
            raise Refused(
                f"there is no {key!r} in {place}",
                code="archive-not-found",
                next_step=f"`backstay snapshots import-list {place}` shows what there is",
            )
        return io.BufferedReader(_Object(store, key, size), _PIECE)

    def list(self, place: str) -> Iterator[ObjectInfo]:
        """See the port."""
        return self._store(place).list("")

    def _store(self, place: str) -> ObjectStore:
        if place not in self._known:
            raise Refused(
                f"this node knows no place {place}",
                code="unknown-place",
                next_step=f"put a table [places.{place}] with its url into this node's configuration",
            )
        return open_store(self._known[place], check_foreign_key)


class _Object(io.RawIOBase):
    """One object, read from its beginning to its end."""

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        super().__init__()
        self._store, self._key, self._size = store, key, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._position)
        if wanted == 0:
            return 0
        buffer[:wanted] = self._store.get(self._key, self._position, wanted)
        self._position += wanted
        return wanted
