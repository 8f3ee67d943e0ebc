"""Whether an operation was claimed where its service does not live.

Apart from the executor because it is decided before anything of the operation is read but its payload: where the
service was when the message was accepted may have changed since.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.contracts import Claim, Services
from domain.errors import Refused
from domain.operation import Operation
from domain.subscription import Subscription

Parse = Callable[[Subscription, dict[str, Any]], Any]


def elsewhere(
    claim: Claim, subscription: Subscription, parse: Parse, services: Services, node: str, lease_ms: int
) -> str | None:
    """The node that should do this instead of `node`; None when it can be done here."""
    operation = claim.operation
    if operation.node is not None or is_to_end(operation, lease_ms):
        return None  # it was bound knowingly, or any node can end it
    if not _is_local(subscription, parse, operation):
        return None
    service = services.get(operation.service_id)
    return service.node if service and service.node != node else None


def is_to_end(operation: Operation, lease_ms: int) -> bool:
    """Whether somebody has asked for its end, or its deadline had passed when it was claimed."""
    return operation.cancel_requested or 0 < operation.deadline_at <= operation.lease_until - lease_ms


def _is_local(subscription: Subscription, parse: Parse, operation: Operation) -> bool:
    try:
        return subscription.local(parse(subscription, operation.data))
    except Refused:
        return False  # the attempt itself will say what is wrong with it
