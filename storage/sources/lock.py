"""One program at a time on this node for one source, or around one service, also beside one whose worker was killed.

The lock is the kernel's, on a file that the program, or the guard of a hook, inherits: it lasts until the last process
that has it open is gone, so a worker that takes over waits for what its predecessor had started.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from domain.errors import SourceUnavailable

LOOK_EVERY = 0.1


@contextmanager
def held(
    path: str, seconds: float, check: Callable[[], None], what: str = "an earlier restore of the same source"
) -> Iterator[int]:
    """Hold the lock; the open file. SourceUnavailable, which names `what`, when somebody else has it for that long."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    ends = time.monotonic() + seconds
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                check()
                if time.monotonic() > ends:
                    raise SourceUnavailable(f"{what} still runs") from None
                time.sleep(LOOK_EVERY)
        yield handle
    finally:
        os.close(handle)
