"""Segments in the order in which somebody will need them, fetched and opened some way ahead.

Apart from restoring, which takes segments as they lie in their packs and writes in any order: a stream has an order
of its own. What was used is kept for a while, as neighbours in a directory mostly share a segment.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from domain import pulse
from domain.contracts import Buffer, ObjectStore
from storage.archive import layout
from storage.archive.layout import MIB
from storage.archive.published import Opened
from storage.archive.segment import Opener

#: Plain bytes of used segments that are kept.
_KEPT_BYTES = 32 * MIB
#: Segments that are fetched or wait to be used; of at most 8 MiB, mostly of 4.
AHEAD = 4
_THREADS = 2


class Segments:
    """Plain bytes of segments. A context manager; used from one thread."""

    def __init__(self, store: ObjectStore, opened: Opened, wanted: Iterator[int]) -> None:
        """`wanted` gives the numbers in the order of use; being wrong costs time and nothing else."""
        self._store, self._tree, self._root = store, opened.tree, layout.pack_root(opened.header.tenant_id)
        self._key, self._wanted = opened.key, wanted
        self._ready: OrderedDict[int, Future[Buffer]] = OrderedDict()
        self._kept: OrderedDict[int, Buffer] = OrderedDict()
        self._bytes = 0
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="archive-ahead")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def plain(self, number: int) -> Buffer:
        """A segment's bytes, verified. Raises Damaged, ObjectMissing, or what the store raises."""
        if number not in self._kept:
            self._look_ahead()
            waiting = self._ready.pop(number, None)
            self._keep(number, self._fetch(number) if waiting is None else _result(waiting))
            self._look_ahead()
        self._kept.move_to_end(number)
        return self._kept[number]

    def _look_ahead(self) -> None:
        while len(self._ready) < AHEAD:
            number = next(self._wanted, None)
            if number is None:
                return
            if number not in self._kept and number not in self._ready:
                self._ready[number] = self._pool.submit(self._fetch, number)

    def _keep(self, number: int, plain: Buffer) -> None:
        self._kept[number] = plain
        self._bytes += len(plain)
        while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])

    def _fetch(self, number: int) -> Buffer:
        opener = getattr(self._own, "opener", None)
        if opener is None:
            opener = self._own.opener = Opener(self._key)  # not to be shared between threads
        row = self._tree.segments[number]
        key = self._root + self._tree.packs[int(row["pack"])]
        stored = memoryview(self._store.get(key, int(row["offset"]), int(row["stored"])))
        plain: Buffer = opener.open(stored, row)
        return plain


def _result(waiting: Future[Buffer]) -> Buffer:
    """What the other thread fetches; it may have to wait for bandwidth, while this one says that it lives."""
    while True:
        try:
            return waiting.result(timeout=0.25)
        except TimeoutError:
            if waiting.done():
                return waiting.result()
            pulse.beat()
