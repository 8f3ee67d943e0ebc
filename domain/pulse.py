"""A sign of life from wherever a thread waits: whoever works on an operation says what keeps its lease.

Apart from the watch, which is handed from function to function, because what waits for bandwidth stands behind a
port that knows of no operation. Each thread has its own: an operation's keeps the lease, and one that works for it
asks whether the others still do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _OfThread(threading.local):
    keep: Callable[[], None] | None = None


_mine = _OfThread()


@contextmanager
def during(keep: Callable[[], None]) -> Iterator[None]:
    """While the block runs, `keep` is called wherever this thread waits; it may raise what ends the work."""
    before, _mine.keep = _mine.keep, keep
    try:
        yield
    finally:
        _mine.keep = before


def beat() -> None:
    """Called by what waits: several times a second for bandwidth or another thread, before each try of a call to a
    store. One try may last until the store's time-out."""
    if _mine.keep is not None:
        _mine.keep()
