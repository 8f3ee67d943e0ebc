"""Whether a forked node has met a lack of room: what its own code saw, whatever came of it and whatever it says.

Apart from `full.py`, which takes the room away: a disk that is full is no fault for whoever writes nothing there. What
the node's own functions are passed through by is looked at, wherever it was raised; the log and whoever fills the disk
are none of them, so that what they meet does not count.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import domain
import handlers
import storage
import workers
from domain.errors import BackstayError

#: Where the functions of a node are.
OURS = tuple(os.path.join(str(package.__path__[0]), "") for package in (domain, handlers, storage, workers))
#: What the system says.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: What SQLite makes of it, by what it was doing.
SQLITE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
#: What the guards of the product say before anything is written.
GUARD = "no-room"


class Lack:
    """The first lack of room that the nodes have met which were forked inside `watched()`."""

    def __init__(self, file: Path) -> None:
        """`file`: where it is written down, which is not on a disk that is filled."""
        self._file = file

    def forget(self) -> None:
        """Before the next case."""
        self._file.unlink(missing_ok=True)

    def met(self) -> str:
        """What it was; "" when there was none."""
        return self._file.read_text() if self._file.exists() else ""

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The thread that forks, and all that the node starts, are watched in the node; here they are only in here."""
        before, before_threads = sys.gettrace(), threading.gettrace()
        threading.settrace(self._called)
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)
            threading.settrace(before_threads)

    def _called(self, frame: FrameType, _event: str, _value: Any) -> Any:
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_lines = False
        return self._passed

    def _passed(self, frame: FrameType, event: str, value: Any) -> Any:
        if event == "exception" and is_lack(value[1]) and not self._file.exists():
            self._file.write_text(f"{type(value[1]).__name__} in {frame.f_code.co_qualname}")
        return self._passed


def is_lack(error: BaseException) -> bool:
    """Whether that is what no room looks like; where nothing else is wrong with SQLite's disk."""
    if isinstance(error, OSError):
        return error.errno in FULL
    if isinstance(error, BackstayError):
        return error.code == GUARD
    said = getattr(error, "orig", error)  # SQLAlchemy's, of the driver's
    return isinstance(said, sqlite3.Error) and getattr(said, "sqlite_errorcode", 0) & 0xFF in SQLITE
