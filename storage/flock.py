"""The kernel's file locks as Python lacks them: waiting in the queue for a time, and who is in front.

Apart from the queue of writers because it knows nothing of a database. flock(2) has no time limit and cannot be
called off, so a thread of its own waits in it; a lock that comes when nobody wants it any more is given back.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from dataclasses import dataclass


def taken(descriptor: int, pause: float) -> bool:
    """Whether an exclusive flock was to be had at once, after a pause."""
    if pause:
        time.sleep(pause)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Ask:
    """One wait for an exclusive flock on a descriptor that must stay open until it is over."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._mutex = threading.Lock()
        self._over = threading.Event()
        self._wanted = True
        self._mine = False
        threading.Thread(target=self._wait, name="flock", daemon=True).start()

    def granted(self, seconds: float) -> bool:
        """Wait for it; True when the lock is held. After False it may be asked again, later. For one thread at a time;
        not after it was True."""
        with self._mutex:
            self._wanted = True
            if self._over.is_set() and not self._mine:  # it came in between and was given back
                self._over.clear()
                threading.Thread(target=self._wait, name="flock", daemon=True).start()
        self._over.wait(max(0.0, seconds))
        with self._mutex:
            self._wanted = False
            return self._mine

    def _wait(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        with self._mutex:
            self._mine = self._wanted
            if not self._wanted:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._over.set()


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a lock."""

    pid: int
    name: str
    stopped: bool

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name}{', which is stopped' if self.stopped else ''})"


def holder_of(path: str, locks: str = "/proc/locks") -> Holder | None:
    """Who holds a flock on that file, if it is a process that can be seen from here."""
    try:
        wanted = os.stat(path)
        with open(locks, encoding="ascii") as lines:
            found = [line.split() for line in lines]
    except OSError:
        return None
    # `1: FLOCK ADVISORY WRITE 4711 fd:00:1234 0 EOF`; who waits has an arrow before FLOCK.
    pids = [int(line[4]) for line in found if line[1] == "FLOCK" and line[5].endswith(f":{wanted.st_ino}")]
    return next((_process(pid) for pid in pids if pid > 0 and _has_open(pid, wanted)), None)


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    """Nobody is told to end a process for a number alone: inodes of small file systems have equal ones."""
    folder = f"/proc/{pid}/fd"
    try:
        return any(os.path.samestat(os.stat(f"{folder}/{name}"), wanted) for name in os.listdir(folder))
    except OSError:
        return False


def _process(pid: int) -> Holder | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            head, _, tail = file.read().rpartition(")")
    except OSError:
        return None  # it has ended meanwhile
    return Holder(pid, head.partition("(")[2], tail.split()[0] in ("T", "t"))
