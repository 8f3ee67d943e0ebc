"""A folder that a node has written to, and would not mistake an empty mount point for.

Apart from `objects/file.py`, because what is remembered lies outside of the store: the store's name, in the node's data
directory. In another store, or where a disk is not mounted, everything seems to be missing: sound snapshots would be
called corrupt, tenants would get second keys, and what is to be deleted would count as gone. So "it is not there" is
believed, and written is, only where the name is the one that is remembered. What is found needs no name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from domain.contracts import Buffer, ObjectInfo, ObjectStore
from domain.errors import Damaged, ObjectMissing, Refused, StoreUnavailable
from storage.archive import layout
from storage.store_name import give_name, is_name, name_of


class RememberedStore:
    """The port `ObjectStore` in front of a folder. A folder without a name gets one with the first write."""

    def __init__(self, store: ObjectStore, where: str, memory: str) -> None:
        """`where` is what a person knows the folder by; `memory` the file that keeps its name."""
        self._store, self._where, self._memory = store, where, memory

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See the port."""
        self._name_it()
        self._store.put(key, parts)

    def put_stream(self, key: str, pieces: Iterable[bytes]) -> None:
        """See the port."""
        self._name_it()
        self._store.put_stream(key, pieces)

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See the port."""
        self._name_it()
        return self._store.create(key, parts)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See the port."""
        try:
            return self._store.get(key, offset, length)
        except ObjectMissing:
            self._check()
            raise

    def link(self, key: str, seconds: int, name: str) -> str | None:
        """See the port."""
        return self._store.link(key, seconds, name)

    def size(self, key: str) -> int | None:
        """See the port."""
        found = self._store.size(key)
        if found is None:
            self._check()
        return found

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See the port."""
        self._check()
        yield from self._store.list(prefix)
        self._check()  # else it may have ended because the folder went away

    def delete(self, keys: Iterable[str]) -> None:
        """See the port."""
        self._check()
        self._store.delete(keys)

    def sweep(self, older_than_seconds: int) -> int:
        """See the port."""
        return self._store.sweep(older_than_seconds)

    def _check(self) -> str | None:
        """The store's name; None when it has none and none is remembered. Raises StoreUnavailable."""
        known = self._remembered()
        try:
            name = name_of(self._store)
        except Damaged:
            return known or ""  # the object is there, so the store is: what is wrong is told to whoever needs the name
        except Refused as error:  # weather: a verdict would end whatever is written meanwhile
            raise StoreUnavailable(
                f"the name of {self._where} cannot be read: {error}",
                next_step=f"give the worker's user all of it: another, such as root, may have made {layout.STORE_ID}",
            ) from error
        if known is not None and name != known:
            raise StoreUnavailable(
                f"{self._where} is not the store that this node has written to: is it mounted?",
                next_step="mount it; if this is the right one, as it was emptied on purpose, took another's place, "
                f"or was not mounted yet when this node first wrote to it, remove {self._memory} on this node",
            )
        if known is None and name is not None:
            self._remember(name)
        return name

    def _name_it(self) -> None:
        if self._check() is None:
            self._remember(give_name(self._store))

    def _remembered(self) -> str | None:
        try:
            with open(self._memory, "rb") as file:
                found = file.read().strip()
        except OSError:
            return None
        return found.decode("ascii") if is_name(found) else None  # a power cut may have emptied it

    def _remember(self, name: str) -> None:
        fresh = f"{self._memory}.{os.getpid()}"
        try:
            os.makedirs(os.path.dirname(self._memory), mode=0o700, exist_ok=True)
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
                file.write(name + "\n")
            os.replace(fresh, self._memory)
        except OSError:
            return  # no reason to keep anything from being stored: the next write tries again
