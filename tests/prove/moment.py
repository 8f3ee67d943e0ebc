"""A moment in forked nodes: whoever gets there first stands still until the parent has done its worst.

Apart from the deaths of `tests/chaos/victim.py`, where the node itself is struck: here it lives on, and a server or a
connection is struck while it stands exactly there. At the end of a transaction it says by which of its connections
the COMMIT is about to leave, so that this one can be lost and no other.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, event

from tests.chaos.victim import Death

#: The end of a failpoint's name behind which nothing but the COMMIT follows.
COMMIT = ".before-commit"
_thread = threading.local()


class Moment:
    """The `hit`-th time that any of the nodes which are forked inside `watched()` reaches the point."""

    def __init__(self, death: Death) -> None:
        self._death = death
        self._count = multiprocessing.get_context("fork").Value("i", 0)
        self._ours, self._theirs = socket.socketpair()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Nodes that are started in here stop at it; the parent itself never does."""
        event.listen(Engine, "commit", self._about_to_commit)
        try:
            yield
        finally:
            event.remove(Engine, "commit", self._about_to_commit)
            self._theirs.close()

    def witness(self, point: str) -> None:
        """In the node, at each failpoint."""
        if point != self._death.point:
            return
        with self._count.get_lock():
            self._count.value += 1
            mine = self._count.value == self._death.hit
        if mine and point.endswith(COMMIT):
            _thread.committing = True
        elif mine:
            self._stand(0)

    def wait(self, pids: list[int]) -> int | None:
        """In the parent: the port of the connection, 0 where it is about none; None when the nodes end without it."""
        while not all(_ended(pid) for pid in pids):
            if select.select([self._ours], [], [], 0.05)[0] and (said := self._ours.recv(100)):
                return int(json.loads(said))
        return None

    def go_on(self) -> None:
        """Let the node continue, if one stands."""
        with contextlib.suppress(BrokenPipeError):  # both have ended without getting there
            self._ours.send(b"!")  # closing it would tell nothing: the other node holds it too
        self._ours.close()

    def _about_to_commit(self, connection: Connection) -> None:
        if getattr(_thread, "committing", False):
            _thread.committing = False
            driver: Any = connection.connection.driver_connection
            with socket.socket(fileno=os.dup(driver.fileno())) as same:
                self._stand(same.getsockname()[1])

    def _stand(self, port: int) -> None:
        self._theirs.sendall(json.dumps(port).encode())
        self._theirs.recv(1)


def _ended(pid: int) -> bool:
    """Whether the process is over, without taking its end from whoever waits for it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
