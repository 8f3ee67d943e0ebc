"""Waiting for new work without asking for it all the time.

Apart from the ledger because it decides nothing: whoever is woken still has to claim. PostgreSQL tells
(LISTEN/NOTIFY, sent in the transaction that makes the work); SQLite is asked for a counter in its shared
memory, which costs no lock and no read. Both fall back to the time-out when they cannot.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import Any

from sqlalchemy import Engine, PoolProxiedConnection, exc

from storage.sql.transactions import CHANNEL

#: Seconds between two looks at SQLite's counter, and between attempts to listen again.
LOOK_EVERY = 0.1
RECONNECT_EVERY = 1.0


class Bell:
    """What connects the waits of one process: a set in any of them is heard by all."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waits: list[SqliteWake | PostgresWake] = []

    def add(self, wait: SqliteWake | PostgresWake) -> None:
        """From now on it is rung too."""
        with self._mutex:
            self._waits.append(wait)

    def remove(self, wait: SqliteWake | PostgresWake) -> None:
        """It is rung no more."""
        with self._mutex, contextlib.suppress(ValueError):
            self._waits.remove(wait)

    def ring(self) -> None:
        """Wake everybody."""
        with self._mutex:
            for wait in self._waits:
                wait.rung()


class SqliteWake:
    """The port `Wake` over `PRAGMA data_version`, which moves when another connection has committed.

    `wait` is for one thread; `set` and `close` may be called from any.
    """

    def __init__(self, engine: Engine, bell: Bell) -> None:
        self._engine, self._bell = engine, bell
        self._event = threading.Event()
        self._in_use = threading.Lock()
        self._closed = False
        self._connection: PoolProxiedConnection | None = None
        self._seen = self._version()
        bell.add(self)

    def wait(self, seconds: float) -> bool:
        """Return early, True, when there may be new work."""
        with self._in_use:
            return self._wait(seconds) and not self._closed

    def _wait(self, seconds: float) -> bool:
        ends = time.monotonic() + seconds
        while not self._closed:
            version = self._version()
            rung = self._event.is_set()
            if rung or version != self._seen:
                self._event.clear()
                self._seen = version
                return True
            left = ends - time.monotonic()
            if left <= 0:
                return False
            self._event.wait(min(LOOK_EVERY, left))
        return False

    def set(self) -> None:
        """There may be new work (from this process)."""
        self._bell.ring()

    def rung(self) -> None:
        """The bell of this process rang."""
        self._event.set()

    def close(self) -> None:
        """Stop listening; a wait in progress returns first."""
        self._bell.remove(self)
        self._closed = True
        self._event.set()
        with self._in_use:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _version(self) -> int:
        try:
            if self._connection is None:
                self._connection = self._engine.raw_connection()
                self._connection.detach()
            cursor = self._connection.cursor()
            version = int(cursor.execute("PRAGMA data_version").fetchone()[0])
            cursor.close()
            return version
        except (exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error):
            self._connection = None
            return -1


class PostgresWake:
    """The port `Wake` over a connection of its own that listens.

    `wait` is for one thread; `set` and `close` may be called from any.
    """

    def __init__(self, engine: Engine, bell: Bell) -> None:
        self._engine, self._bell = engine, bell
        self._in_use = threading.Lock()
        self._closed = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._driver: Any = None
        self._try_again_at = 0.0
        self._listen()
        bell.add(self)

    def wait(self, seconds: float) -> bool:
        """Return early, True, when there may be new work, or when listening had to be begun again."""
        with self._in_use:
            return not self._closed and self._wait(seconds) and not self._closed

    def _wait(self, seconds: float) -> bool:
        ends = time.monotonic() + seconds
        while True:
            if self._driver is None and self._listen():
                return True  # what was told in between is lost
            left = ends - time.monotonic()
            if left <= 0:
                return False
            if self._driver is None:
                left = min(left, RECONNECT_EVERY)
            readable = self._readable(left)
            if self._reader in readable:
                self._empty()
                return True
            if readable and self._told():
                return True

    def set(self) -> None:
        """There may be new work (from this process)."""
        self._bell.ring()

    def rung(self) -> None:
        """The bell of this process rang."""
        with contextlib.suppress(BlockingIOError):  # a full pipe is loud enough
            os.write(self._writer, b"!")

    def close(self) -> None:
        """Stop listening; a wait in progress returns first. A second close does nothing."""
        self._bell.remove(self)
        if self._closed:
            return
        self._closed = True
        self.rung()
        with self._in_use:
            if self._driver is not None:
                self._driver.close()
                self._driver = None
            os.close(self._reader)
            os.close(self._writer)

    def _listen(self) -> bool:
        """Open the connection; False if the database does not answer, or was asked a moment ago."""
        now = time.monotonic()
        if now < self._try_again_at:
            return False
        self._try_again_at = now + RECONNECT_EVERY
        try:
            connection = self._engine.raw_connection()
            driver: Any = connection.driver_connection
            connection.detach()
            driver.autocommit = True
            driver.execute(f"LISTEN {CHANNEL}")
        except (exc.SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error):
            return False
        self._driver = driver
        return True

    def _readable(self, seconds: float) -> list[int]:
        """Those of the bell and the connection that have something; by poll, to which the numbers of files do not
        matter: a connection that is opened anew while big restores run has a high one."""
        waiting = select.poll()
        for file in (self._reader, *(() if self._driver is None else (self._driver.fileno(),))):
            waiting.register(file, select.POLLIN)
        return [file for file, _ in waiting.poll(seconds * 1000)]

    def _told(self) -> bool:
        """Take what has arrived; True if it was a notification or the connection broke."""
        try:
            return any(True for _ in self._driver.notifies(timeout=0))
        except self._engine.dialect.loaded_dbapi.Error:
            self._driver = None
            self._try_again_at = 0.0
            return True

    def _empty(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._reader, 4096):
                pass
