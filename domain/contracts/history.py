"""The port of what is over: letting go of it, when an operator has said how long it is kept.

Apart from the ledger because nothing here has an effect on anything but how much a database holds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pruned:
    """How much was let go of, or would be."""

    operations: int = 0
    steps: int = 0
    events: int = 0
    #: Behind which row the next batch begins; 0 when there is nothing more.
    after: int = field(default=0, compare=False)

    def __add__(self, other: Pruned) -> Pruned:
        """Both together, the other being the later one."""
        sums = (self.operations + other.operations, self.steps + other.steps, self.events + other.events)
        return Pruned(*sums, other.after)


class History(Protocol):
    """Ended operations with their steps and their events that were sent."""

    def prune(self, keep_ms: int, limit: int, *, after: int = 0, dry_run: bool = False) -> Pruned:
        """Remove at most `limit` operations that ended longer ago than that, oldest first; with `dry_run` count them.
        Whoever wants all of them calls again with the `after` of the answer until that is 0.

        Kept whatever their age: what has not ended or is STUCK, what a dead letter is about or has become, what took
        a snapshot that is still there, what an upgrade's record needs, and whoever has an event that was not sent.
        """

    def prune_events(self, keep_ms: int, limit: int, *, after: int = 0, dry_run: bool = False) -> Pruned:
        """The same for events that are about no operation and were sent longer ago than that: recovery points that were
        missed, and messages that were refused. Kept: what is about a dead letter that nobody has resolved."""
