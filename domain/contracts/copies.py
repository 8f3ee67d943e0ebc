"""The port of copies: which snapshot is in which replica, and who is bringing it there.

Apart from the catalogue because losing it loses nothing: a snapshot without a line here is owed to every replica, so
copying begins again and finds what is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Owed:
    """A snapshot that a replica does not have, as far as is known; held by whoever took it."""

    snapshot_id: str
    manifest_key: str
    anew: bool  # what the replica has of it is damaged
    take: int  # which take this is: when somebody else has taken it since, or it is owed anew, this one counts no more


@dataclass(frozen=True, slots=True)
class Copied:
    """How far one replica is."""

    replica: str
    copied: int
    pending: int  # available snapshots that it does not have
    damaged: int  # of these: copies that were found damaged and are made anew
    oldest_pending_ms: int  # age of the oldest of these; 0 without one
    trouble: str  # the latest reason why one could not be copied


class Copies(Protocol):
    """The journal of copies. Every available snapshot is owed to every replica until it is noted as copied."""

    def take(self, replica: str, hold_ms: int) -> Owed | None:
        """A snapshot that is owed and due, held for so long; None when there is none. From the oldest on, and what is
        owed behind the last one before what is owed again or is older, unless that was minutes ago."""

    def hold(self, owed: Owed, replica: str, hold_ms: int) -> bool:
        """Hold it for longer; False when it must not be written any more: the snapshot is being deleted or gone, is
        owed anew since its manifest was replaced, or was taken by another."""

    def done(self, owed: Owed, replica: str) -> bool:
        """The replica has it whole; False, with nothing noted, when the take counts no more."""

    def failed(self, owed: Owed, replica: str, sentence: str) -> None:
        """It could not be copied, for that reason; tried again after a pause that grows to an hour. When the take
        counts no more, what was noted since is not believed, and owed again: ours may have come over it."""

    def let_go(self, owed: Owed, replica: str) -> None:
        """End the hold, with nothing wrong in the replica; tried again as after a failure. Nothing happens when the
        take counts no more."""

    def state_of(self, replica: str) -> Copied:
        """How far that replica is."""
