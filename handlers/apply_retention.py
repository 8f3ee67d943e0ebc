"""Delete the snapshots of a service that its retention policy does not keep.

    {"policy": {"last": 10, "monthly": 12}}

Without `policy` it is the service's own that is applied; one that is given stands in for it this once. What is
deleted is decided once and written down; a worker that takes over carries out the same decision. The outcome names
what was deleted.
"""

from __future__ import annotations

from domain.context import Context
from domain.deleting import remove_objects
from domain.errors import Refused
from domain.outcome import Item, MarkDeleting, Outcome, RemoveSnapshot
from domain.retaining import decisions
from domain.retention import Policy
from domain.subscription import Subscription
from handlers import Payload
from handlers.set_retention import Rules

STEP = "retention"


class ApplyRetention(Payload):
    """`policy` instead of the service's own."""

    policy: Rules | None = None


def handle(command: ApplyRetention, context: Context) -> Outcome:
    """Decide, mark all at once, remove their objects, forget them."""
    service = context.service()
    step = context.journal.find(STEP)
    if step is None:
        if command.policy is None and not service.retention:
            raise Refused(
                f"service {service.service_id} has no retention policy",
                code="no-policy",
                next_step="publish set-retention, or give a policy with this command",
            )
        policy = command.policy.policy() if command.policy else Policy.load(service.retention)
        decided = decisions(context, service, policy)
        going = [one.snapshot.snapshot_id for one in decided if not one.keep]
        request = {"deleted": going, "kept": len(decided) - len(going)}
        step = context.journal.begin(STEP, request, tuple(MarkDeleting(snapshot_id) for snapshot_id in going))
    deleted = step.request["deleted"]
    left = remove_objects(context) if deleted else ""
    return Outcome.succeeded(
        f"{len(deleted)} snapshots of service {service.service_id} are deleted, {step.request['kept']} are kept",
        changes=tuple(RemoveSnapshot(snapshot_id) for snapshot_id in deleted),
        items=(Item("store", "objects-left", left),) if left else (),
        deleted=deleted[:1000],
        kept=step.request["kept"],
    )


subscription = Subscription(ApplyRetention, handle)
