"""A queue for the writers of one SQLite file, across threads and processes.

SQLite itself lets writers sleep and try again, which starves some of them for seconds; here they wait in
the kernel's queue instead. It is only about fairness: correctness rests on SQLite's own locks, so a lost
or removed lock file costs waiting time and nothing else. The kernel frees it when a process dies.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from domain.errors import DatabaseUnavailable


class FairLock:
    """An exclusive flock on `path`, taken once per process and then handed on between its threads."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = threading.Lock()
        self._descriptor: int | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock; not reentrant. DatabaseUnavailable if the file can be neither made nor opened."""
        with self._threads:
            if self._descriptor is None:
                self._descriptor = self._open()
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise DatabaseUnavailable(
                f"the lock file {self._path} cannot be opened: {error.strerror}",
                next_step="make the database's folder exist and writable for this user",
            ) from error

    def close(self) -> None:
        """Forget the file; a later `held` opens it again."""
        with self._threads:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
