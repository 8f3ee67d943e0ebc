"""A folder of messages that one living channel has taken: the kernel's lock on it says that it lives.

A process id would not do: it is given out again, and means something else in another container that
shares the volume. The kernel drops the lock with its process, however that dies. The folder must be on
a local file system.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path


class Seat:
    """`Seat(folder)` makes the folder and locks it; `leave()` ends that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._handle = _taken(folder)

    def leave(self, new: Path) -> None:
        """Move what is still in the folder to `new`, and give the folder up; what a failing disk keeps there is free
        for whoever looks next."""
        try:
            _give_back(self.folder, new)
        finally:
            os.close(self._handle)


def vacate(folder: Path, new: Path) -> None:
    """Move what a dead process had taken to `new`; nothing happens while its owner lives."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, PermissionError):  # somebody else was faster, or it is another user's
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _give_back(folder, new)
    except BlockingIOError:
        return
    finally:
        os.close(handle)


def _taken(folder: Path) -> int:
    while True:
        folder.mkdir(mode=0o700, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Between the making and the locking it may have been taken for a dead one's, and removed.
            if _is_still(folder, handle):
                return handle
            os.close(handle)


def _is_still(folder: Path, handle: int) -> bool:
    try:
        return os.stat(folder).st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _give_back(folder: Path, new: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            os.rename(folder / name, new / name)
        os.rmdir(folder)
