"""A queue for the writers of one SQLite file, across threads and processes.

SQLite itself lets writers sleep and try again, which starves some of them for seconds; here they wait in
the kernel's queue instead. It is only about fairness: correctness rests on SQLite's own locks, so a lost
or removed lock file costs waiting time and nothing else. The kernel frees it when a process dies. A
process that is frozen keeps it: then the others give up after a while, with DatabaseUnavailable that names
it. What it has begun goes on when it wakes, as if the others had come later, because SQLite's lock is its own too.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import DatabaseUnavailable
from storage.flock import Ask, holder_of, taken

#: Seconds that a writer waits for its turn; far longer than a transaction of ours, and a small part of a lease.
TURN_SECONDS = 10.0
#: Seconds before each look at the lock that is taken before queueing for it: a transaction takes a millisecond or two,
#: and a thread that waits in the queue costs a third of one.
LOOKS = (0.0, *[0.0005] * 10)
#: The same for one that only wants to know whether there is a turn to be had.
LOOK_SECONDS = 3.0


class FairLock:
    """An exclusive flock on `path`, taken once per process and then handed on between its threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._descriptor: int | None = None
        self._ask: Ask | None = None  # one that nobody waits for at the moment

    @contextmanager
    def held(self, seconds: float = 0.0) -> Iterator[None]:
        """Hold the lock; not reentrant. DatabaseUnavailable if it is not to be had within `seconds` (TURN_SECONDS if
        none are named), or if the file can be neither made nor opened."""
        seconds = seconds or TURN_SECONDS
        until = time.monotonic() + seconds
        if not self._threads.acquire(timeout=seconds):  # a thread of this process has it, and hangs
            raise self._unavailable(seconds)
        try:
            descriptor = self._take(until, seconds)
            try:
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            self._threads.release()

    def close(self) -> None:
        """Forget the file; a later `held` opens it again."""
        with self._threads:
            if self._descriptor is not None and self._ask is None:  # else a thread still waits with it
                os.close(self._descriptor)
            self._descriptor, self._ask = None, None

    def _take(self, until: float, seconds: float) -> int:
        descriptor = self._opened()
        if self._ask is None:
            if any(taken(descriptor, pause) for pause in LOOKS):
                return descriptor
            self._ask = Ask(descriptor)
        if not self._ask.granted(until - time.monotonic()):
            raise self._unavailable(seconds)
        self._ask = None
        return descriptor

    def _opened(self) -> int:
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except OSError as error:
                raise DatabaseUnavailable(
                    f"the lock file {self._path} cannot be opened: {error.strerror}",
                    next_step="make the database's folder exist and writable for this user",
                ) from error
        return self._descriptor

    def _unavailable(self, seconds: float) -> DatabaseUnavailable:
        holder = holder_of(self._path)
        who = "another process that cannot be seen from here" if holder is None else str(holder)
        next_step = "look at whatever writes to the database; the same is tried again by itself"
        if holder is not None:
            next_step = (
                f"`kill -CONT {holder.pid}` if it was stopped, or end it with `kill -9 {holder.pid}`: what it has not "
                "committed is undone, nothing that was acknowledged is lost, and the others go on by themselves"
            )
        return DatabaseUnavailable(
            f"nothing can be written: {who} has held {self._path} for more than {seconds:.0f} s", next_step=next_step
        )
