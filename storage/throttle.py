"""A store that takes and gives no more bytes per second than it may.

Apart from the stores, because the limit is a node's and not a bucket's: every archive of a process shares two
budgets. A transfer waits until those before it have had their time and then runs at full speed, so the rate holds
over a few packs and not within one. Deleting, listing and looking are not limited.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from domain import pulse
from domain.contracts import Buffer, ObjectInfo, ObjectStore

#: Seconds between signs of life of a thread that waits.
SLICE_SECONDS = 0.25


class Budget:
    """So many bytes per second. May be shared between threads; first come, first served."""

    def __init__(
        self,
        rate: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock, self._sleep = clock, sleep
        self._mutex = threading.Lock()
        self._free_at = 0.0

    def spend(self, size: int) -> None:
        """Come back when `size` bytes may go; the next ones wait until these have had their time."""
        with self._mutex:
            begin = max(self._free_at, self._clock())
            self._free_at = begin + size / self.rate
        while (left := begin - self._clock()) > 0:
            self._sleep(min(left, SLICE_SECONDS))
            pulse.beat()


class ThrottledStore:
    """The port `ObjectStore` in front of another one. A missing budget means no limit that way."""

    def __init__(self, store: ObjectStore, up: Budget | None, down: Budget | None) -> None:
        self._store, self._up, self._down = store, up, down

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """See the port."""
        self._send(sum(len(part) for part in parts))
        self._store.put(key, parts)

    def put_stream(self, key: str, pieces: Iterable[bytes]) -> None:
        """See the port."""
        self._store.put_stream(key, self._counted(pieces))

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See the port."""
        self._send(sum(len(part) for part in parts))
        return self._store.create(key, parts)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See the port. How long a whole object is, is known when it is there: then the next one waits for it."""
        if self._down is not None and length is not None:
            self._down.spend(length)
        found = self._store.get(key, offset, length)
        if self._down is not None and length is None:
            self._down.spend(len(found))
        return found

    def link(self, key: str, seconds: int, name: str) -> str | None:
        """See the port."""
        return self._store.link(key, seconds, name)

    def size(self, key: str) -> int | None:
        """See the port."""
        return self._store.size(key)

    def delete(self, keys: Iterable[str]) -> None:
        """See the port."""
        self._store.delete(keys)

    def sweep(self, older_than_seconds: int) -> int:
        """See the port."""
        return self._store.sweep(older_than_seconds)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See the port."""
        return self._store.list(prefix)

    def _send(self, size: int) -> None:
        if self._up is not None:
            self._up.spend(size)

    def _counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._send(len(piece))
            yield piece
