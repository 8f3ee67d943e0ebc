"""The ports of the door: what may be accepted, what is refused, and the receipt.

Apart from the ledger because a publisher's promise ends here: accepted means durable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from domain.message import Command


@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid command on its way into the inbox."""

    command: Command
    request_hash: str  # hex digest over kind, version, subject and canonical data
    exclusive: bool  # reserves its service while active
    local: bool  # must run on the node that has the service's directory
    node: str | None = None  # an explicit node, which overrides the service's


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that cannot become an operation; kept as a dead letter with its raw bytes."""

    raw: bytes = field(repr=False)
    reason: str  # undecodable | invalid | unknown-type | too-large
    sentence: str  # names the field
    source: str | None = None  # as far as they could be read
    message_id: str | None = None
    kind: str | None = None
    subject: str | None = None
    reply_to: str | None = None
    headers: dict[str, Any] = field(default_factory=dict, repr=False)
    digest: str = ""  # hex, as `decoding.digest` makes it; "" where the bytes alone are the message


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message: accepted | duplicate | key-reused | rejected."""

    status: str
    op_id: str | None = None
    dead_letter_id: str | None = None


class Inbox(Protocol):
    """The door. A message is accepted when `accept` has returned."""

    def accept(self, batch: Sequence[Accepted | Rejected]) -> list[Receipt]:
        """Make the whole batch durable in one transaction; receipts in the same order.

        Same key and same hash: `duplicate` with the first operation's id. Same key, other hash: dead
        letter `key-reused`. An identical rejected message is one dead letter, counted again.
        """

    def backlog(self) -> int:
        """How many operations are QUEUED (bounded count: stops counting at a million)."""
