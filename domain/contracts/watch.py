"""How long work says that it lives; apart from the other ports because all of them that take long need it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Watch(Protocol):
    """How long work says that it lives and asks whether it may go on. Safe to call from any thread."""

    def check(self) -> None:
        """Raise LeaseLost, Cancelled, DeadlineExceeded or ShuttingDown; cheap, call it often."""

    def keep(self, seconds: float) -> None:
        """Renew the lease unless it lasts that long; LeaseLost when it does not, and only then ShuttingDown. Never
        raises Cancelled: for what must be finished, such as putting things back."""

    def staying(self) -> AbstractContextManager[None]:
        """While the block runs, a process that stops does not give the operation back, and `keep` never raises
        ShuttingDown: for what must run to its end. LeaseLost when it was given back already."""

    def insist(self) -> None:
        """From now on `check` never raises Cancelled or DeadlineExceeded: what was touched is being put back."""

    def advance(self, bytes_done: int = 0, files_done: int = 0) -> None:
        """Count progress (increments), then `check`."""

    def expect(self, bytes_total: int, files_total: int) -> None:
        """State the totals as soon as they are known."""
