"""Deciding at the door: a message becomes a command to accept, or a dead letter with a reason.

Nothing here touches SQL or the broker, so the same judgement serves ingress, replay and `publish`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from domain.contracts import Accepted, Rejected
from domain.decoding import decode, reject, request_hash
from domain.errors import InvalidMessage
from domain.message import Envelope
from domain.subscription import Subscription
from handlers import parse


def judge_with(subscriptions: Mapping[str, Subscription]) -> Callable[[Envelope], Accepted | Rejected]:
    """A judge that knows these message types."""
    known = {kind: subscription.versions for kind, subscription in subscriptions.items()}

    def judge(envelope: Envelope) -> Accepted | Rejected:
        try:
            command = decode(envelope, known)
            subscription = subscriptions[command.kind]
            payload = parse(subscription, command.data)
        except InvalidMessage as error:
            return reject(envelope, error)
        return Accepted(
            command=command,
            request_hash=request_hash(command),
            exclusive=subscription.exclusive,
            local=subscription.local(payload),
            node=subscription.node(payload),
        )

    return judge
