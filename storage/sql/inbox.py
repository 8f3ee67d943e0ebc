"""The door: a batch of messages becomes operations and dead letters in one transaction.

Apart from the ledger because ingress needs nothing else and is the only writer of new operations besides
a replay. When `accept` has returned, every message of the batch is durable; when it raised, none is, or
the answer of COMMIT was lost: accepting the same batch again then answers `duplicate`, never twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select, tuple_

from domain.audit import entry_of
from domain.contracts import Accepted, Receipt, Rejected
from domain.operation import State
from storage.sql import audit
from storage.sql.columns import ForeignText, storable
from storage.sql.ids import new_id
from storage.sql.letters import keep_rejected, keep_reused
from storage.sql.rows import new_operation
from storage.sql.sealed import Vault
from storage.sql.states import state_is
from storage.sql.tables import operation, service
from storage.sql.transactions import Transactions

#: `backlog` stops counting here.
MOST_COUNTED = 1_000_000

Key = tuple[str, str]


class SqlInbox:
    """The port `Inbox`."""

    def __init__(self, transactions: Transactions, vault: Vault) -> None:
        self._tx, self._vault = transactions, vault

    def accept(self, batch: Sequence[Accepted | Rejected]) -> list[Receipt]:
        """Make the whole batch durable; receipts in the same order."""
        if not batch:
            return []
        with self._tx.write("accept") as connection:
            receipts = self.enter(connection, batch, self._tx.now(connection))
            if any(receipt.status == "accepted" for receipt in receipts):
                self._tx.ring(connection)
        return receipts

    def enter(self, connection: Connection, batch: Sequence[Accepted | Rejected], now: int) -> list[Receipt]:
        """The same within the caller's transaction; whoever calls it tells that there may be new work."""
        firsts = self._insert(connection, [item for item in batch if isinstance(item, Accepted)], now)
        return [self._receipt(connection, item, firsts, now) for item in batch]

    def backlog(self) -> int:
        """How many operations are QUEUED, counted up to a million."""
        queued = select(operation.c.state).where(state_is(operation, State.QUEUED)).limit(MOST_COUNTED).subquery()
        with self._tx.read() as connection:
            return connection.execute(select(func.count()).select_from(queued)).scalar_one()

    def _insert(self, connection: Connection, items: list[Accepted], now: int) -> dict[Key, _First]:
        """Insert what is new; who holds each key of the batch."""
        if not items:
            return {}
        nodes = service_nodes(connection, {item.command.subject.service_id for item in items if item.local})
        values = [new_operation(item, new_id(), now, self._vault) for item in items]
        for row in values:
            if row["local"]:
                row["node"] = nodes.get(row["service_id"]) or ""
        inserted = set(
            connection.scalars(self._tx.insert(operation).on_conflict_do_nothing().returning(operation.c.op_id), values)
        )
        firsts = {
            _key(item): _First(row["op_id"], item.request_hash)
            for item, row in zip(items, values, strict=True)
            if row["op_id"] in inserted
        }
        missing = sorted({_key(item) for item in items} - firsts.keys())
        return firsts | _holders(connection, missing)

    def _receipt(
        self, connection: Connection, item: Accepted | Rejected, firsts: dict[Key, _First], now: int
    ) -> Receipt:
        if isinstance(item, Rejected):
            return Receipt("rejected", None, keep_rejected(self._tx, connection, self._vault, item, now))
        first = firsts[_key(item)]
        if first.request_hash != item.request_hash:
            letter_id = keep_reused(self._tx, connection, self._vault, item, first.op_id, now)
            return Receipt("key-reused", first.op_id, letter_id)
        receipt = Receipt(first.claim_status(), first.op_id)
        if receipt.status == "accepted" and (entry := entry_of(item.command, first.op_id)):
            audit.write(connection, entry, now)
        return receipt


class _First:
    """The operation that holds an idempotency key; it answers `accepted` once if this batch made it."""

    def __init__(self, op_id: str, request_hash: str, *, made_here: bool = True) -> None:
        self.op_id, self.request_hash, self._fresh = op_id, request_hash, made_here

    def claim_status(self) -> str:
        """`accepted` for the first message of the batch that made the operation, then `duplicate`."""
        fresh, self._fresh = self._fresh, False
        return "accepted" if fresh else "duplicate"


def service_nodes(connection: Connection, service_ids: set[str]) -> dict[str, str | None]:
    """Where the services' directories are. The rows stay locked against a move until this commits, so
    that a move sees, and takes along, every operation that was accepted before it."""
    if not service_ids:
        return {}
    found = connection.execute(
        select(service.c.service_id, service.c.node)
        .where(service.c.service_id.in_(sorted(service_ids)))
        .order_by(service.c.service_id)
        .with_for_update(read=True)
    )
    return {row.service_id: row.node for row in found}


def _holders(connection: Connection, keys: list[Key]) -> dict[Key, _First]:
    if not keys:
        return {}
    found = connection.execute(
        select(operation.c.source, operation.c.message_id, operation.c.op_id, operation.c.request_hash).where(
            tuple_(operation.c.source, operation.c.message_id, types=(ForeignText, ForeignText)).in_(keys)
        )
    )
    return {(row.source, row.message_id): _First(row.op_id, row.request_hash, made_here=False) for row in found}


def _key(item: Accepted) -> Key:
    return (storable(item.command.source), storable(item.command.message_id))
