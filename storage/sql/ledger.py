"""The port `Ledger`: claiming, journal and settling under one name.

Apart from the three files that do the work, because the executor needs one object. It adds nothing but
fairness between what is bound to this node and what any node can do: each claim begins with the other.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from domain.audit import Actor
from domain.contracts import Claim
from domain.node import NO_SLOTS
from domain.operation import Operation, State, Step
from domain.outcome import Change, Outcome
from storage.sql import journal, reservations, resolving, settle
from storage.sql.claim import claim as take
from storage.sql.rows import operation as read_operation
from storage.sql.sealed import Vault
from storage.sql.tables import operation
from storage.sql.transactions import Transactions
from storage.sql.turns import Turns


class SqlLedger:
    """The port `Ledger`; see its promises there. May be shared between threads."""

    def __init__(self, transactions: Transactions, vault: Vault, *, rolled_back_letters: bool = False) -> None:
        """`rolled_back_letters`: also what was ROLLED_BACK becomes a dead letter."""
        self._tx, self._vault = transactions, vault
        self._kept = settle.ALWAYS_KEPT | ({State.ROLLED_BACK} if rolled_back_letters else frozenset())
        self._claims, self._turns = itertools.count(), Turns()

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
        """Take up to `limit` ready operations that this node can do and may begin."""
        own_first = next(self._claims) % 2 == 0
        return take(
            self._tx,
            self._vault,
            self._turns,
            node,
            owner,
            limit,
            lease_ms,
            own_first=own_first,
            cancels_only=cancels_only,
            slots=slots,
        )

    def renew(self, claim: Claim, lease_ms: int, progress: dict[str, Any] | None = None) -> bool:
        """Extend the lease; True when a cancel was requested."""
        return journal.renew(self._tx, claim, lease_ms, progress)

    def steps(self, op_id: str) -> list[Step]:
        """The journal so far, by ordinal."""
        return journal.steps(self._tx, self._vault, op_id)

    def has_steps(self, op_id: str) -> bool:
        """See the port."""
        return journal.has_steps(self._tx, op_id)

    def intend(
        self, claim: Claim, ordinal: int, kind: str, request: dict[str, Any], changes: Sequence[Change], lease_ms: int
    ) -> None:
        """Commit a step as INTENT, apply `changes`, renew the lease."""
        journal.intend(self._tx, self._vault, claim, ordinal, kind, request, changes, lease_ms)

    def conclude(
        self,
        claim: Claim,
        ordinal: int,
        state: str,
        reply: dict[str, Any],
        lease_ms: int,
        changes: Sequence[Change] = (),
    ) -> None:
        """Commit a step as DONE, UNDONE or IGNORED, apply `changes`."""
        journal.conclude(self._tx, self._vault, claim, ordinal, state, reply, lease_ms, changes)

    def intend_many(
        self, claim: Claim, first_ordinal: int, steps: Sequence[tuple[str, dict[str, Any]]], lease_ms: int
    ) -> None:
        """Commit steps as PENDING."""
        journal.intend_many(self._tx, self._vault, claim, first_ordinal, steps, lease_ms)

    def advance(
        self, claim: Claim, ordinal: int, reply: dict[str, Any], state: str, next_ordinal: int, lease_ms: int
    ) -> None:
        """Conclude one step and intend the next."""
        journal.advance(self._tx, self._vault, claim, ordinal, reply, state, next_ordinal, lease_ms)

    def undo_many(self, claim: Claim, replies: Mapping[int, dict[str, Any]], lease_ms: int) -> None:
        """Touched steps become UNDONE."""
        journal.undo_many(self._tx, self._vault, claim, replies, lease_ms)

    def bump(self, claim: Claim, lease_ms: int) -> None:
        """A new fence for everything the operation holds."""
        reservations.bump(self._tx, claim, lease_ms)

    def reserve(self, claim: Claim, service_ids: Sequence[str], lease_ms: int) -> None:
        """Hold further services."""
        reservations.reserve(self._tx, claim, service_ids, lease_ms)

    def postpone(self, claim: Claim, delay_ms: int, code: str, sentence: str) -> None:
        """Wait; it counts as no attempt."""
        settle.retry_later(self._tx, claim, delay_ms, code, sentence, attempts=0)

    def resolve_stuck(self, op_id: str, how: str, by: Actor, note: str, changes: Sequence[Change] = ()) -> State | None:
        """A person's word on a STUCK operation."""
        return resolving.resolve(self._tx, self._vault, op_id, how, by, note, changes)

    def turn_back(self, claim: Claim, outcome: Outcome) -> None:
        """RUNNING -> COMPENSATING, with the damage that was found; the claim stays held."""
        journal.turn_back(self._tx, self._vault, claim, outcome)

    def settle(self, claim: Claim, outcome: Outcome) -> None:
        """The one end of the operation, or STUCK."""
        settle.settle(self._tx, self._vault, claim, outcome, self._kept)

    def retry_later(self, claim: Claim, delay_ms: int, code: str, sentence: str) -> None:
        """Durable backoff."""
        settle.retry_later(self._tx, claim, delay_ms, code, sentence)

    def reroute(self, claim: Claim, node: str | None) -> None:
        """Give the operation to another node."""
        settle.reroute(self._tx, claim, node)

    def release(self, claim: Claim) -> None:
        """Put it back unharmed."""
        settle.release(self._tx, claim)

    def release_dead(self, owner_is_dead: Callable[[str], bool]) -> int:
        """Free the leases of processes that are certainly gone."""
        return settle.release_dead(self._tx, owner_is_dead)

    def request_cancel(self, op_id: str, by: Actor | None = None) -> State | None:
        """Cancel or flag; the state after."""
        return settle.request_cancel(self._tx, op_id, by)

    def expire(self) -> int:
        """Cancel what is past its deadline and was never started."""
        return settle.expire(self._tx)

    def get(self, op_id: str) -> Operation | None:
        """One operation by id."""
        with self._tx.read() as connection:
            row = connection.execute(select(operation).where(operation.c.op_id == op_id)).first()
        return None if row is None else read_operation(row, self._vault)

    def state(self, op_id: str) -> State | None:
        """How far it is, also of one whose data does not open."""
        with self._tx.read() as connection:
            found = connection.scalar(select(operation.c.state).where(operation.c.op_id == op_id))
        return None if found is None else State(found)
