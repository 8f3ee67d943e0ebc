"""Damage that is found while a snapshot is brought back: the operation fails, and the snapshot becomes `corrupt`.

Apart from reading because only whoever brings it back knows which snapshot is meant: an operation reads several, and
what was wrong with one that it has just stored says nothing of the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from domain.errors import Damaged
from domain.outcome import MarkCorrupt, Outcome
from domain.snapshot import Snapshot


class DamagedSnapshot(Damaged):
    """It is this snapshot that is not what was written."""

    def __init__(self, snapshot: Snapshot, error: Damaged) -> None:
        super().__init__(str(error), code=error.code, next_step=error.next_step)
        self.snapshot = snapshot

    def outcome(self) -> Outcome:
        """Whatever says `available` can be restored, so this one must stop saying it; and which ones there are."""
        snapshot = self.snapshot
        return replace(
            Outcome.failed(self),
            sentence=f"snapshot {snapshot.snapshot_id} of service {snapshot.service_id} cannot be restored: {self}",
            next_step=f"`backstay snapshots list --service {snapshot.service_id}` shows the others: restore one that "
            "is available; keep this one for inspection",
            changes=(MarkCorrupt(snapshot.snapshot_id, str(self)),),
        )


@contextmanager
def reading(snapshot: Snapshot) -> Iterator[None]:
    """Damage in the block is damage of that snapshot."""
    try:
        yield
    except Damaged as error:
        raise DamagedSnapshot(snapshot, error) from error
