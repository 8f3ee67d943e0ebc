"""The port of claims: who works on what, under which fence, and how it ends.

Apart from the rest of SQL because every write here is conditional on a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from domain.audit import Actor
from domain.node import NO_SLOTS
from domain.operation import Operation, State, Step
from domain.outcome import Change, Outcome


@dataclass(slots=True)
class Claim:
    """The right to work on an operation until the lease ends. Used by one thread at a time."""

    operation: Operation
    takeover: bool  # somebody held it before: look for what they left
    fence: int = 0  # the token of every write; grows when the holder bumps it
    abandoned: bool = False  # and did not give it back: its lease ran out

    def __post_init__(self) -> None:
        """The token begins as the operation's."""
        self.fence = self.fence or self.operation.fence


class Ledger(Protocol):
    """Claim, renew, journal, settle. Every write is conditional on the claim's fence and raises
    LeaseLost when it matches no row; then nothing at all was written."""

    def claim(
        self,
        node: str,
        owner: str,
        limit: int,
        lease_ms: int,
        *,
        cancels_only: bool = False,
        slots: Mapping[str, int] = NO_SLOTS,
    ) -> list[Claim]:
        """Take up to `limit` ready operations that this node can do: tenants take turns, and the kinds of a tenant, in
        each the oldest first; at most one exclusive operation per service, never past an older one of the same
        service. `cancels_only`: for the
        slot that is kept for cancelling what holds all others. A drained node gets only what it has begun, and
        cancels. `slots`: how many of each kind, and of `all`, the processes of this node may hold together."""

    def renew(self, claim: Claim, lease_ms: int, progress: dict[str, Any] | None = None) -> bool:
        """Extend the lease; True when a cancel was requested. `progress` resets the poison count and is
        kept for whoever watches."""

    def steps(self, op_id: str) -> list[Step]:
        """The journal so far, by ordinal."""

    def has_steps(self, op_id: str) -> bool:
        """Whether the journal has anything, also when it cannot be read."""

    def bump(self, claim: Claim, lease_ms: int) -> None:
        """A new, higher fence for every service that the operation holds; the claim carries it from now on."""

    def reserve(self, claim: Claim, service_ids: Sequence[str], lease_ms: int) -> None:
        """Hold further services until the operation has ended, all under one new fence. ServiceBusy, with
        nothing written, when another operation works on one or holds it. Repeating it is harmless."""

    def intend_many(
        self, claim: Claim, first_ordinal: int, steps: Sequence[tuple[str, dict[str, Any]]], lease_ms: int
    ) -> None:
        """Commit steps as PENDING, from that ordinal on."""

    def advance(
        self, claim: Claim, ordinal: int, reply: dict[str, Any], state: str, next_ordinal: int, lease_ms: int
    ) -> None:
        """`conclude` one step and turn a PENDING one into INTENT, in one commit."""

    def undo_many(self, claim: Claim, replies: Mapping[int, dict[str, Any]], lease_ms: int) -> None:
        """Touched steps, by ordinal, become UNDONE with these replies, all in one commit."""

    def intend(
        self, claim: Claim, ordinal: int, kind: str, request: dict[str, Any], changes: Sequence[Change], lease_ms: int
    ) -> None:
        """Commit a step as INTENT (insert or overwrite), apply `changes`, renew the lease."""

    def conclude(
        self,
        claim: Claim,
        ordinal: int,
        state: str,
        reply: dict[str, Any],
        lease_ms: int,
        changes: Sequence[Change] = (),
    ) -> None:
        """Commit a step as DONE, UNDONE or IGNORED with its reply, apply `changes`, renew the lease."""

    def turn_back(self, claim: Claim, outcome: Outcome) -> None:
        """RUNNING -> COMPENSATING; keeps `outcome` as the reason, and marks the damage that it found; the claim stays
        held."""

    def settle(self, claim: Claim, outcome: Outcome) -> None:
        """One transaction: domain changes, terminal state (or STUCK), outbox event, dead letter for
        FAILED, STUCK and by policy ROLLED_BACK, lease released."""

    def retry_later(self, claim: Claim, delay_ms: int, code: str, sentence: str) -> None:
        """Durable backoff: attempts + 1, lease released, claimable again after the delay."""

    def postpone(self, claim: Claim, delay_ms: int, code: str, sentence: str) -> None:
        """Wait for something that takes its time: as `retry_later`, but it counts as no attempt."""

    def resolve_stuck(self, op_id: str, how: str, by: Actor, note: str, changes: Sequence[Change] = ()) -> State | None:
        """A person's word on a STUCK operation; the state after, None when it was not STUCK any more.

        `retry`: COMPENSATING again, with a new budget. `accept`: ROLLED_BACK, its services are as before.
        `force`: SUCCEEDED with `changes`, its target holds. The last two are told by one event each."""

    def reroute(self, claim: Claim, node: str | None) -> None:
        """Give the operation to another node; costs nothing of its budget."""

    def release(self, claim: Claim) -> None:
        """Put it back unharmed, claimable at once (a graceful stop costs no budget). Never raises LeaseLost."""

    def release_dead(self, owner_is_dead: Callable[[str], bool]) -> int:
        """Free leases whose owner string names a process that is certainly gone; how many."""

    def request_cancel(self, op_id: str, by: Actor | None = None) -> State | None:
        """QUEUED, never started: settle CANCELLED at once. RUNNING: set the flag. The state after; None if unknown.
        `by`: the person who asks, for the audit trail; None when a command of the inbox asks, which has an entry."""

    def expire(self) -> int:
        """Settle CANCELLED (code deadline-exceeded) what is QUEUED beyond its deadline, wherever it should
        have run; how many. At most 100 a call. What a node that is gone had begun, and is cancelled or
        past its deadline and touched nothing, becomes claimable by any node, which then ends it. And what the
        database's clock has left behind by going back keeps its lease and its wait for their lengths only."""

    def get(self, op_id: str) -> Operation | None:
        """One operation by id."""

    def state(self, op_id: str) -> State | None:
        """How far it is, also of one whose data does not open; None if unknown."""
