"""Taking operations: the transaction that makes them a node's own.

Apart from the rest of the ledger because it is the hot path and the only place where exclusion is decided; which
operations are ready, and whose turn it is, are `ready` and `turns`. Safety rests on the unique index op_one_active and
on the fence; what those two have seen may be stale, and then the claim takes fewer operations, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, case, literal_column, or_, select, tuple_, update
from sqlalchemy.sql.dml import ReturningUpdate

from domain.contracts import Claim
from domain.edition import EDITION
from domain.errors import BackstayError
from domain.node import ALL_KINDS, NO_SLOTS
from domain.operation import State
from storage.sql.capacity import Capacity, capacity
from storage.sql.ready import READY_BEGUN, READY_BEGUN_BUT, READY_CANCELS
from storage.sql.reservations import raise_reserved
from storage.sql.rows import operation as read_operation
from storage.sql.sealed import Vault
from storage.sql.states import is_exclusive, literal_state, state_is
from storage.sql.tables import operation, service_fence
from storage.sql.transactions import Conflict, Transactions
from storage.sql.turns import Turns
from storage.sql.unopened import set_aside

#: What stands in `operation.node` for work that every node can do.
ANY_NODE = ""


def claim(
    tx: Transactions,
    vault: Vault,
    turns: Turns,
    node: str,
    owner: str,
    limit: int,
    lease_ms: int,
    *,
    own_first: bool,
    cancels_only: bool = False,
    slots: Mapping[str, int] = NO_SLOTS,
) -> list[Claim]:
    """Take up to `limit` ready operations, the node's own or anybody's first; in each by turns, oldest first."""
    try:
        with tx.write("claim") as connection:
            now = tx.now(connection)
            may = capacity(connection, node, slots, now)
            arms = [node, ANY_NODE] if own_first else [ANY_NODE, node]
            candidates = _candidates(connection, turns, may, node, arms, limit, now, only=cancels_only)
            if not candidates:
                return []
            free = _raise_fences(tx, connection, [row for row in candidates if row.exclusive])
            candidates = [row for row in candidates if not row.exclusive or row.service_id in free]
            seqs = [row.seq for row in candidates]
            # Asked anew: what is taken, and what it follows in its service, may have come after the first question.
            at = tx.now(connection)
            taken = connection.execute(TAKE, {"seqs": seqs, "holder": owner, "until": at + lease_ms, "at": at}).all()
            return _claims(tx, connection, vault, taken, {row.seq: row for row in candidates}, at)
    except Conflict:
        return []  # another node was faster with an operation of the same service


def _candidates(
    connection: Connection,
    turns: Turns,
    may: Capacity,
    node: str,
    arms: Sequence[str],
    limit: int,
    now: int,
    *,
    only: bool,
) -> list[Row[Any]]:
    """Ready operations that may be taken, at most `limit`; with `only` nothing but cancels."""
    statement = _limited(may, cancels_only=only)
    asked = {"now": now, "holder": f"{node}|", "full": may.full()}
    found: list[Row[Any]] = []
    for arm in arms:
        most = limit - len(found)
        if most <= 0:
            break
        if statement is None:
            rows = turns.next(connection, arm, most, now, may.full())
        else:
            rows = list(connection.execute(statement, asked | {"node": arm, "most": most}))
        found += [row for row in rows if may.take(row.kind)]
    return found


def _limited(may: Capacity, *, cancels_only: bool) -> Select[Any] | None:
    """What to ask instead of whose turn it is, when little may be taken."""
    if cancels_only or ALL_KINDS in may.full():
        return READY_CANCELS
    if may.drained:
        return READY_BEGUN_BUT if may.left else READY_BEGUN
    return None


def _take() -> ReturningUpdate[Any]:
    """Make the operations :seqs the :holder's, under the fences that their services have by now."""
    own = select(service_fence.c.fence).where(service_fence.c.service_id == operation.c.service_id)
    fence = case((is_exclusive(operation), own.scalar_subquery()), else_=operation.c.fence + 1)
    return (
        update(operation)
        .where(operation.c.seq.in_(bindparam("seqs", expanding=True)))
        .values(
            state=case((state_is(operation, State.QUEUED), literal_state(State.RUNNING)), else_=operation.c.state),
            owner=bindparam("holder"),
            fence=fence,
            # What is begun by this edition is ended by it, or by a later one.
            edition=literal_column(str(EDITION)),
            known_fence=fence,
            lease_until=bindparam("until"),
            claims_no_progress=operation.c.claims_no_progress + 1,
            updated_at=bindparam("at"),
        )
        .returning(operation)
    )


#: Built once: building it costs more than running it.
TAKE = _take()


def _raise_fences(tx: Transactions, connection: Connection, rows: Sequence[Row[Any]]) -> set[str]:
    """From here on every earlier holder of these services is refused; the services that are free to take.

    One that another operation has reserved meanwhile is not, be that one among the candidates: this
    compare-and-set and that of the reservation write the same row, so that one of the two sees the other.
    """
    if not rows:
        return set()
    names = sorted({row.service_id for row in rows})
    # Only what was held before can hold services, its own among them.
    started = [row for row in rows if row.fence > 0]
    may = service_fence.c.reserved_by == literal_column("''")
    if started:
        own = [(row.service_id, row.op_id) for row in started]
        may = or_(may, tuple_(service_fence.c.service_id, service_fence.c.reserved_by).in_(own))
    statement = tx.insert(service_fence).values([{"service_id": name, "fence": 1} for name in names])
    free = connection.scalars(
        statement.on_conflict_do_update(
            index_elements=[service_fence.c.service_id],
            set_={"fence": service_fence.c.fence + 1},
            where=may,
        ).returning(service_fence.c.service_id)
    ).all()
    raise_reserved(connection, [row.op_id for row in started])
    return set(free)


def _claims(
    tx: Transactions,
    connection: Connection,
    vault: Vault,
    taken: Sequence[Row[Any]],
    before: Mapping[int, Row[Any]],
    now: int,
) -> list[Claim]:
    claims = []
    for row in sorted(taken, key=lambda row: row.seq):
        was = before[row.seq]
        try:
            claims.append(Claim(read_operation(row, vault), takeover=was.fence > 0, abandoned=was.lease_until > 0))
        except BackstayError as error:
            set_aside(tx, connection, vault, row, State(was.state), error, now)
    return claims
