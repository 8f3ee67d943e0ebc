"""`memory://name`: objects in this process, for tests that need a store which can be told to fail.

Apart from `file`, because a test must be able to fail any single call and to look inside without a disk.
Keeps the promises of the port except durability: everything is gone with the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from domain.contracts import Buffer, ObjectInfo, ObjectStore
from domain.errors import Damaged, ObjectMissing, Refused
from domain.failpoint import failpoint
from storage.backend import Backend
from storage.object_keys import KeyRule, check_key, check_prefix


def _no_fault(call: str, key: str) -> None:
    """The hook of a store that never fails."""


class MemoryStore:
    """A dictionary behind a mutex. `fault(call, key)` runs before each effect and may raise."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fault: Callable[[str, str], None] = _no_fault
        self._mutex = threading.Lock()

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See the port."""
        check_key(key)
        self.fault("put", key)
        failpoint("object.before-put")
        with self._mutex:
            self.objects[key] = b"".join(parts)
        failpoint("object.after-put")

    def put_stream(self, key: str, pieces: Iterable[bytes]) -> None:
        """See the port."""
        self.put(key, list(pieces))

    def link(self, key: str, seconds: int, name: str) -> str | None:
        """None: there is no address."""
        return None

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See the port."""
        check_key(key)
        self.fault("create", key)
        failpoint("object.before-create")
        with self._mutex:
            if key in self.objects:
                return False
            self.objects[key] = b"".join(parts)
        failpoint("object.after-create")
        return True

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See the port."""
        check_key(key)
        self.fault("get", key)
        with self._mutex:
            found = self.objects.get(key)
        if found is None:
            raise ObjectMissing(f"object {key} is not in the store")
        end = len(found) if length is None else offset + length
        if offset > len(found) or end > len(found):
            raise Damaged(f"object {key} has {len(found)} bytes, {end} were expected", code="object-short")
        return found[offset:end]

    def size(self, key: str) -> int | None:
        """See the port."""
        check_key(key)
        self.fault("size", key)
        with self._mutex:
            found = self.objects.get(key)
        return None if found is None else len(found)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See the port."""
        check_prefix(prefix)
        self.fault("list", prefix)
        with self._mutex:
            found = [ObjectInfo(key, len(data)) for key, data in self.objects.items() if key.startswith(prefix)]
        return iter(found)

    def delete(self, keys: Iterable[str]) -> None:
        """See the port."""
        for key in keys:
            check_key(key)
            self.fault("delete", key)
            failpoint("object.before-delete")
            with self._mutex:
                self.objects.pop(key, None)
            failpoint("object.after-delete")

    def sweep(self, older_than_seconds: int) -> int:
        """Nothing is ever left behind."""
        return 0


_shared: dict[str, MemoryStore] = {}
_shared_mutex = threading.Lock()


def _open(url: str, rule: KeyRule) -> ObjectStore:
    name = url.removeprefix("memory://")
    if not name or "/" in name:
        raise Refused(f"a memory store is memory://name, got {url[:60]!r}", code="bad-store-url")
    with _shared_mutex:
        return _shared.setdefault(name, MemoryStore())


backend = Backend(open=_open)
