"""Bringing snapshots to replicas, on any node, for as long as one is owed.

Apart from the sweeper, whose beat must not wait for a copy of many gigabytes. Nothing is decided here: SQL says what
is owed, and the copy is made so that repeating it is harmless. A replica that fails never keeps another waiting for
longer than one try.
"""

from __future__ import annotations

import threading
from typing import Protocol

import structlog

from domain.contracts import Copies, Owed
from domain.errors import BackstayError, Damaged, LeaseLost, Refused, ShuttingDown, StoreUnavailable, Weather
from domain.failpoint import failpoint
from domain.retry import within_call
from workers.loop import Loop

log = structlog.get_logger("copier")

#: Seconds between looks for something that is owed.
LOOK_SECONDS = 5.0
#: For how long a snapshot is held; renewed before each object that is written.
HOLD_MS = 10 * 60_000
#: For how long a copy that failed is noted again and again before the thread goes on to its next turn.
NOTE_SECONDS = 5.0


class Copying(Protocol):
    """What brings one snapshot to one replica."""

    def copy(self, name: str, manifest_key: str, check: Check, *, anew: bool = False) -> int:
        """Make the replica hold the snapshot; bytes written."""


class Check(Protocol):
    """Called before each write; raises to end the copy."""

    def __call__(self) -> None: ...


class Copier:
    """One thread of one process. `start()`, `stop()`."""

    def __init__(self, copies: Copies, archive: Copying, replicas: tuple[str, ...]) -> None:
        self._copies, self._archive, self._replicas = copies, archive, replicas
        #: Copies that failed, with why, and are not noted yet: what the journal says of them may be wrong until then.
        self._failed: list[tuple[Owed, str, str]] = []
        self._stopping = threading.Event()
        self._loop = Loop("copier", self._look)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self, timeout: float = 1.0) -> None:
        """End before the next object."""
        self._stopping.set()
        self._loop.stop(timeout)

    def _look(self, stopping: threading.Event) -> None:
        while self.round() and not stopping.is_set():
            pass
        stopping.wait(LOOK_SECONDS)

    def round(self) -> int:
        """One snapshot for each replica that is owed one; how many were copied. Nothing is taken before all failures
        are noted: DatabaseUnavailable."""
        self._note_failed()
        return sum(self._one(replica) for replica in self._replicas if not self._stopping.is_set())

    def _one(self, replica: str) -> bool:
        owed = self._copies.take(replica, HOLD_MS)
        if owed is None:
            return False

        def check() -> None:
            if self._stopping.is_set():
                raise ShuttingDown("the node stops")
            if not self._copies.hold(owed, replica, HOLD_MS):
                raise LeaseLost(f"snapshot {owed.snapshot_id} is being deleted, or is to be copied anew")

        try:
            written = self._archive.copy(replica, owed.manifest_key, check, anew=owed.anew)
        except (Damaged, Refused, StoreUnavailable, OSError) as error:
            log.warning("copy.failed", snapshot=owed.snapshot_id, replica=replica, detail=str(error))
            self._failed.append((owed, replica, str(error)))
            self._note_failed()
            return False
        except LeaseLost as error:
            return self._left(owed, replica, str(error))
        except BackstayError:
            self._copies.let_go(owed, replica)
            raise
        failpoint("replica.before-note")
        noted = self._copies.done(owed, replica)
        failpoint("replica.after-note")
        if not noted:
            return self._left(owed, replica, "its hold ended, or its packs were rewritten; the copy is made again")
        log.info("copy.done", snapshot=owed.snapshot_id, replica=replica, bytes=written)
        return True

    def _note_failed(self) -> None:
        while self._failed:
            copy = self._failed.pop()
            try:
                for retry in within_call(seconds=NOTE_SECONDS):
                    with retry:
                        self._copies.failed(*copy)
            except Weather:
                self._failed.append(copy)
                raise

    def _left(self, owed: Owed, replica: str, sentence: str) -> bool:
        self._copies.let_go(owed, replica)
        log.info("copy.left", snapshot=owed.snapshot_id, replica=replica, detail=sentence)
        return False
