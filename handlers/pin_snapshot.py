"""Keep a snapshot whatever the retention policy says, or let it go again.

    {"snapshot_id": "0192f0c1-…", "reason": "before the audit"}

A pinned snapshot cannot be deleted either. With `"pinned": false` it is an ordinary one again.
"""

from __future__ import annotations

import pydantic

from domain.context import Context
from domain.errors import WrongTenant
from domain.outcome import Outcome, SavePin
from domain.standing import Use
from domain.subscription import Subscription
from handlers import Id, Payload


class PinSnapshot(Payload):
    """Which snapshot, and why."""

    snapshot_id: Id
    pinned: bool = True
    reason: str = pydantic.Field(default="asked for", min_length=1, max_length=200)


def handle(command: PinSnapshot, context: Context) -> Outcome:
    """Note it in the catalogue."""
    snapshot = context.snapshot(command.snapshot_id, Use.PIN)
    if snapshot.service_id != context.operation.service_id:
        raise WrongTenant(f"snapshot {snapshot.snapshot_id} does not belong to the subject of this message")
    state = f"pinned: {command.reason}" if command.pinned else "no longer pinned"
    return Outcome.succeeded(
        f"snapshot {snapshot.snapshot_id} is {state}",
        changes=(SavePin(snapshot.snapshot_id, command.reason if command.pinned else ""),),
        snapshot_id=snapshot.snapshot_id,
        pinned=command.pinned,
    )


subscription = Subscription(PinSnapshot, handle)
