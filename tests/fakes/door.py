"""An inbox that remembers, and misbehaves on request; for intake tests that need no SQL."""

from __future__ import annotations

from collections.abc import Sequence

from domain.contracts import Accepted, Receipt, Rejected
from domain.errors import DatabaseUnavailable


class FakeDoor:
    """The port `Inbox`: duplicates by key, as the real one, and `outage` calls that fail first."""

    def __init__(self) -> None:
        self.batches: list[list[Accepted | Rejected]] = []
        self.outage = 0
        self.queued: int | None = None
        self._seen: set[tuple[str, str]] = set()

    def accept(self, batch: Sequence[Accepted | Rejected]) -> list[Receipt]:
        if self.outage:
            self.outage -= 1
            raise DatabaseUnavailable("out")
        self.batches.append(list(batch))
        return [self._receipt(item) for item in batch]

    def _receipt(self, item: Accepted | Rejected) -> Receipt:
        if isinstance(item, Rejected):
            return Receipt("rejected", dead_letter_id="letter")
        key = (item.command.source, item.command.message_id)
        status = "duplicate" if key in self._seen else "accepted"
        self._seen.add(key)
        return Receipt(status, op_id="op")

    def backlog(self) -> int:
        return len(self._seen) if self.queued is None else self.queued

    def items(self) -> list[Accepted | Rejected]:
        """Everything that came through, in order."""
        return [item for batch in self.batches for item in batch]

    def ids(self) -> list[str]:
        """Message ids of the accepted ones, in order, repeats included."""
        return [item.command.message_id for item in self.items() if isinstance(item, Accepted)]
