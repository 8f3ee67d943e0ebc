"""The ports of telling people and programs: outbox, dead letters, nodes, and the wake-up.

Apart from the ledger because nothing here decides how an operation ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from domain.audit import Actor
from domain.contracts.intake import Accepted
from domain.letters import LetterFilter
from domain.node import NodeReport, NodeSeen


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the outbox: an event that must be told at least once."""

    event_id: str  # also the CloudEvents id, so that listeners can drop repeats
    op_id: str  # the operation, or the dead letter of a rejected message
    topic: str  # routing key on the events exchange: <command>.<outcome>.<tenant>
    reply_to: str | None  # a second routing key that the publisher asked for
    payload: dict[str, Any] = field(repr=False)  # the whole CloudEvent


class Outbox(Protocol):
    """Events waiting to be told. Rows are written only by accepting, settling and progress."""

    def take(self, limit: int, hold_ms: int) -> list[Event]:
        """Unsent events, held for this relay until `hold_ms` have passed: in turn one that was never taken, oldest
        first, and one whose hold is over, in the order in which holds ended. However many there are of one sort, half
        of the places are for the other one. Nothing comes before what its operation has to tell first, unless that is
        held."""

    def sent(self, event_ids: Sequence[str]) -> None:
        """The broker confirmed them."""

    def pass_over(self, holds: Mapping[str, int]) -> None:
        """The broker does not take them: by event id, for how many milliseconds from now no relay takes each; five
        minutes at most."""

    def waiting(self) -> tuple[int, int]:
        """How many are unsent, and the age of the oldest in milliseconds."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An operation or a raw message that needs a person."""

    dead_letter_id: str
    op_id: str | None
    kind: str | None
    subject: str | None
    source: str | None
    message_id: str | None
    reason: str
    sentence: str
    fingerprint: str
    traceback: str
    seen: int
    created_at: int
    resolution: str | None = None  # replayed | discarded
    resolved_by: str | None = None
    resolved_note: str | None = None
    replay_op_id: str | None = None
    raw: bytes | None = field(default=None, repr=False)  # only for messages that were never accepted
    headers: dict[str, Any] = field(default_factory=dict, repr=False)
    seq: int = field(default=0, compare=False)  # its place in lists; ids of several nodes are in no order


class DeadLetters(Protocol):
    """What needs a person. Nothing expires; each is resolved once, by compare-and-set."""

    def list(self, *, resolved: bool, limit: int, before: str | None, wanted: LetterFilter = ...) -> list[DeadLetter]:
        """Newest first; unresolved only unless `resolved`. Nothing that may be secret is opened."""

    def get(self, dead_letter_id: str) -> DeadLetter | None:
        """One, with its raw bytes."""

    def replay_operation(self, dead_letter_id: str, by: Actor, part_of: tuple[str, int] | None = None) -> str | None:
        """A new operation with the failed one's command and lineage in both directions; its id.
        None when the letter had been resolved already: a second click changes nothing. `part_of`: the line
        (replay, ordinal) of a replay that becomes the operation in the same commit; Refused when it may not."""

    def replay_message(
        self, dead_letter_id: str, by: Actor, item: Accepted, part_of: tuple[str, int] | None = None
    ) -> str | None:
        """The same for a raw message that decodes by now."""

    def replay_edited(self, dead_letter_id: str, by: Actor, item: Accepted, note: str) -> str | None:
        """The same for what a person made of either; the letter keeps the original."""

    def payload(self, op_id: str) -> dict[str, Any]:
        """The data of a failed operation's command. It may hold secrets: only for who may see them."""

    def discard(self, dead_letter_id: str, by: Actor, note: str) -> bool:
        """Resolve without replaying; False when it had been resolved already."""


class Nodes(Protocol):
    """Which nodes are alive and may take work. Who changes that, and why, is kept with it."""

    def beat(self, node: str, boot_id: str, version: str, report: NodeReport | None = None) -> bool:
        """This node is alive now, and says this of itself; whether it is drained."""

    def get(self, node: str) -> NodeSeen | None:
        """One of them."""

    def drain(self, node: str, by: Actor, reason: str) -> NodeSeen:
        """From the return on the node begins nothing; what it has begun, it ends. Repeating it changes nothing.
        NotFound for a node that was never seen."""

    def undrain(self, node: str, by: Actor, reason: str) -> NodeSeen:
        """It takes work again."""

    def forget(self, node: str, by: Actor, reason: str) -> None:
        """Remove one that is gone, that has no service and that no operation waits for; else Refused, code busy."""

    def list(self) -> list[NodeSeen]:
        """All nodes ever seen and not forgotten, by name."""


class Moves(Protocol):
    """What a person decides about an operation whose node is lost or drained."""

    def move(self, op_id: str, to: str, by: Actor, reason: str) -> list[str]:
        """The operation goes to another node, and so do the services that it holds on the former one, with whatever
        else waits for their directories; those services. Nothing is copied. Refused, with nothing changed, when
        somebody works on it, its node takes work, or it may have changed files there."""

    def give_up(self, op_id: str, by: Actor, reason: str) -> None:
        """An operation that only a lost node could finish or put back becomes STUCK, so that a person can say how
        it ended; told by its event and a dead letter."""


class Wake(Protocol):
    """Something to wait on for new work; a missed wake only costs the poll interval."""

    def wait(self, seconds: float) -> bool:
        """Return early, True, when there may be new work."""

    def set(self) -> None:
        """There may be new work (from this process)."""

    def close(self) -> None:
        """Stop listening."""
