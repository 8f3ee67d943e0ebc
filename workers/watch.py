"""The thread between long work and its lease: progress renews it, and the answer may be "stop".

There is no heartbeat thread on purpose: a hung worker must lose its lease. `advance` is called from any
thread of a pipeline, so it only counts; every `interval` seconds one caller pays for a renewal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from domain.contracts import Clock, Ledger
from domain.errors import Cancelled, DatabaseUnavailable, DeadlineExceeded, LeaseLost, ShuttingDown
from domain.lease import Lease, Taken

#: Seconds of lease that must be left to begin anything; below it the work stops by itself.
MARGIN = 5.0


class LeaseWatch:
    """The Watch of one claimed operation."""

    def __init__(
        self,
        ledger: Ledger,
        taken: Taken,
        lease: Lease,
        clock: Clock,
        stopping: threading.Event,
        note: Callable[[dict[str, int]], None] = lambda counts: None,
    ) -> None:
        """`note` is told the counts of work that moves, about every second."""
        self._note = note
        claim, operation, asked_at = taken.claim, taken.claim.operation, taken.asked_at
        self._ledger, self._claim, self._lease, self._clock, self._stopping = ledger, claim, lease, clock, stopping
        self._hold = taken.hold
        self._cancel = operation.cancel_requested
        self._insists = False
        claimed_at = operation.lease_until - lease.ttl_ms
        self._deadline = asked_at + (operation.deadline_at - claimed_at) / 1000 if operation.deadline_at else None
        self._interval = min(1.0, lease.ttl_ms / 1000 / 6)
        self._next = asked_at + self._interval
        self._mutex = threading.Lock()
        self._progress: dict[str, int] = {"bytes_done": 0, "files_done": 0}
        self._advanced = False

    def check(self) -> None:
        """Raise what ends the work, and renew the lease when it is time to."""
        now = self._clock.boottime()
        if now >= self._next and self._mutex.acquire(blocking=False):
            try:
                if now >= self._next:
                    self._renew(now)
            finally:
                self._mutex.release()
        if self._stopping.is_set():
            raise ShuttingDown(f"operation {self._claim.operation.op_id} goes on elsewhere")
        if self._insists:
            return
        if self._cancel:
            raise Cancelled(f"operation {self._claim.operation.op_id} was cancelled on request")
        if self._deadline is not None and now >= self._deadline:
            raise DeadlineExceeded(f"the deadline of operation {self._claim.operation.op_id} has passed")

    def keep(self, seconds: float) -> None:
        """Make sure that the lease lasts for `seconds` more; raise LeaseLost, or else ShuttingDown, never Cancelled."""
        if self._lease.left() < max(seconds, self._lease.ttl_ms / 2000):
            with self._mutex:
                self._renew(self._clock.boottime())
        if self._lease.left() < min(seconds, self._lease.ttl_ms / 1000 - 1):
            raise LeaseLost(
                f"the lease of operation {self._claim.operation.op_id} ends too soon for what is to be done"
            )
        if self._stopping.is_set() and not self._hold.stays():
            raise ShuttingDown(f"operation {self._claim.operation.op_id} goes on elsewhere")

    def staying(self) -> AbstractContextManager[None]:
        """See the port."""
        return self._hold.staying()

    def insist(self) -> None:
        """Neither a cancel nor the deadline ends the work any more."""
        self._insists = True

    def advance(self, bytes_done: int = 0, files_done: int = 0) -> None:
        """Count progress, then check."""
        # Sums from several threads may race by one increment; the figures are for eyes only.
        self._progress["bytes_done"] += bytes_done
        self._progress["files_done"] += files_done
        self._advanced = True
        self.check()

    def expect(self, bytes_total: int, files_total: int) -> None:
        """State the totals."""
        self._progress |= {"bytes_total": bytes_total, "files_total": files_total}

    def _renew(self, now: float) -> None:
        # Only work that moves keeps its poison count at zero and its lease alive for free.
        progress = dict(self._progress) if self._advanced else None
        self._advanced = False
        if progress is not None:
            self._note(progress)
        try:
            self._cancel = self._ledger.renew(self._claim, self._lease.ttl_ms, progress) or self._cancel
            self._lease.renewed(now)
        except DatabaseUnavailable:
            if self._lease.left() < min(MARGIN, self._lease.ttl_ms / 3000):
                raise LeaseLost("the lease could not be renewed in time: the database does not answer") from None
        self._next = now + self._interval
