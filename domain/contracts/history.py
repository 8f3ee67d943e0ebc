"""The port of what is over: letting go of it, when an operator has said how long it is kept.

Apart from the ledger because nothing here has an effect on anything but how much a database holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much was let go of, or would be."""

    operations: int = 0
    steps: int = 0
    events: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        """Both together."""
        return Pruned(self.operations + other.operations, self.steps + other.steps, self.events + other.events)


class History(Protocol):
    """Ended operations with their steps and their events that were sent."""

    def prune(self, keep_ms: int, limit: int, *, dry_run: bool = False) -> Pruned:
        """Remove at most `limit` operations that ended longer ago than that, oldest first; with `dry_run` count them.

        Kept whatever their age: what has not ended or is STUCK, what a dead letter is about or has become, what took
        a snapshot that is still there, what an upgrade's record needs, and whoever has an event that was not sent.
        """
