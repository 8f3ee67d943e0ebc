"""Delete a snapshot: from the catalogue at once, and its objects as far as no other snapshot needs them.

    {"snapshot_id": "0192f0c1-…"}

Deleting a snapshot that is already gone succeeds and changes nothing, so a repeat is harmless. If the
store does not answer, the snapshot is gone from the catalogue all the same; the outcome is then not
complete and the sweeper removes the objects later.
"""

from __future__ import annotations

from domain.context import Context
from domain.deleting import remove_objects
from domain.errors import Refused, WrongTenant
from domain.outcome import Item, MarkDeleting, Outcome, RemoveSnapshot
from domain.standing import Use, permit
from domain.subscription import Subscription
from handlers import Id, Payload


class DeleteSnapshot(Payload):
    """Which snapshot; it must belong to the subject's service."""

    snapshot_id: Id


def handle(command: DeleteSnapshot, context: Context) -> Outcome:
    """Mark, remove the manifest and the packs that nobody shares, forget."""
    found = context.catalogue.get(command.snapshot_id)
    permit(Use.DELETE, None if found is None else found.state, command.snapshot_id)
    if found is None:
        return Outcome.succeeded(
            f"snapshot {command.snapshot_id} does not exist; there was nothing to delete", deleted=False
        )
    if (found.tenant_id, found.service_id) != (context.operation.tenant_id, context.operation.service_id):
        raise WrongTenant(f"snapshot {command.snapshot_id} does not belong to the subject of this message")
    step = context.journal.find("mark-deleting")
    if step is None and found.pinned:
        raise Refused(
            f"snapshot {found.snapshot_id} is pinned: {found.pinned}",
            code="pinned",
            next_step=f"`backstay snapshots unpin {found.snapshot_id}` lets it go",
        )
    if step is None:
        step = context.journal.begin(
            "mark-deleting", {"snapshot_id": found.snapshot_id}, (MarkDeleting(found.snapshot_id),)
        )
    left = remove_objects(context)
    return Outcome.succeeded(
        f"snapshot {found.snapshot_id} of service {found.service_id} is deleted",
        changes=(RemoveSnapshot(found.snapshot_id),),
        items=(Item("store", "objects-left", left),) if left else (),
        snapshot_id=found.snapshot_id,
        deleted=True,
    )


subscription = Subscription(DeleteSnapshot, handle)
