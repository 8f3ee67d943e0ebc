"""The guard of the disks: work on files waits for room instead of filling them.

Apart from staging, which knows how much a tree needs and refuses one that never fits: this asks before anything is
read, and again a little later, because somebody can make room.
"""

from __future__ import annotations

from collections.abc import Callable

from domain.errors import Postponed
from workers.attempt import Attempt

#: Seconds until the room is looked at again.
ROOM_SECONDS = 30.0


def check_room(attempt: Attempt, node: str, low_on_room: Callable[[], str]) -> None:
    """Postponed when a disk is too full to begin; what has touched anything goes on, or back."""
    subscription, payload = attempt.subscription, attempt.payload
    if attempt.context.journal.touched() or not (subscription.local(payload) or subscription.builds(payload)):
        return
    if trouble := low_on_room():
        raise Postponed(f"room on node {node}: {trouble}", delay=ROOM_SECONDS, code="no-room")
