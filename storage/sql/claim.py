"""Taking operations: which ones are ready for a node, and the transaction that makes them its own.

Apart from the rest of the ledger because it is the one hot query and the only place where order and
exclusion are decided. Safety rests on the unique index op_one_active and on the fence; what the SELECT
sees may be stale, and then the claim takes fewer operations, never a wrong one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from domain.contracts import Claim
from domain.errors import BackstayError
from domain.node import ALL_KINDS, NO_SLOTS, UNLIMITED
from domain.operation import State
from storage.sql.capacity import Capacity, capacity, held_by
from storage.sql.reservations import raise_reserved
from storage.sql.rows import operation as read_operation
from storage.sql.sealed import Vault
from storage.sql.states import claimable, is_exclusive, literal_state, reserving, state_is, unfinished
from storage.sql.tables import operation, service_fence
from storage.sql.transactions import Conflict, Transactions

#: What stands in `operation.node` for work that every node can do.
ANY_NODE = ""
#: How long an operation rests whose data cannot be opened with the present keys.
UNREADABLE_REST_MS = 5 * 60_000


def claim(
    tx: Transactions,
    vault: Vault,
    node: str,
    owner: str,
    limit: int,
    lease_ms: int,
    *,
    own_first: bool,
    cancels_only: bool = False,
    slots: Mapping[str, int] = NO_SLOTS,
) -> list[Claim]:
    """Take up to `limit` ready operations, the node's own or anybody's first; oldest first in each."""
    try:
        with tx.write("claim") as connection:
            now = tx.now(connection)
            may = capacity(connection, node, slots, now)
            statement = _choose(may, cancels_only=cancels_only)
            asked = {"now": now, "holder": f"{node}|", "full": may.full()}
            candidates: list[Row[Any]] = []
            for arm in [node, ANY_NODE] if own_first else [ANY_NODE, node]:
                if len(candidates) < limit:
                    most = limit - len(candidates)
                    found = connection.execute(statement, {"node": arm, "most": most} | asked)
                    candidates += [row for row in found if may.take(row.kind)]
            if not candidates:
                return []
            free = _raise_fences(tx, connection, [row for row in candidates if row.exclusive])
            candidates = [row for row in candidates if not row.exclusive or row.service_id in free]
            seqs = [row.seq for row in candidates]
            taken = connection.execute(TAKE, {"seqs": seqs, "holder": owner, "until": now + lease_ms, "at": now}).all()
            return _claims(connection, vault, taken, {row.seq: row for row in candidates}, now)
    except Conflict:
        return []  # another node was faster with an operation of the same service


def _choose(may: Capacity, *, cancels_only: bool) -> Select[Any]:
    if cancels_only or ALL_KINDS in may.full():
        return READY_CANCELS
    if may.drained:
        return READY_BEGUN_BUT if may.left else READY_BEGUN
    return READY_BUT if may.left else READY


def _ready(*, cancels_only: bool = False, begun: bool = False, but: bool = False) -> Select[Any]:
    """Claimable operations that are bound to the node :node, or with ANY_NODE to none, at the time :now. With
    `begun` only those that the node :holder has begun, and cancels; with `but` none of the kinds :full.

    One node at a time instead of an OR, because no index serves the OR. An operation that has started
    comes first in its service; one that is queued waits until it is the oldest and nothing is active.
    """
    mine, other = operation.alias("o"), operation.alias("p")
    same = other.c.service_id == mine.c.service_id
    oldest = select(func.min(other.c.seq)).where(same, unfinished(other)).scalar_subquery()
    active = exists(select(literal_column("1")).select_from(other).where(same, reserving(other)).correlate(mine))
    # The few services that are reserved, read once: what is queued holds none, so each is another's.
    reserved = mine.c.service_id.in_(
        select(service_fence.c.service_id).where(service_fence.c.reserved_by != literal_column("''"))
    )
    in_turn = or_(
        ~is_exclusive(mine),
        state_is(mine, State.RUNNING, State.COMPENSATING),
        and_(mine.c.seq == oldest, ~active, ~reserved),
    )
    is_cancel = mine.c.kind == literal_column(f"'{UNLIMITED}'")
    ours = or_(mine.c.node != literal_column("''"), held_by(mine, bindparam("holder", type_=Text)))
    which = in_turn
    if cancels_only:
        which = is_cancel
    elif begun:
        which = or_(is_cancel, and_(state_is(mine, State.RUNNING, State.COMPENSATING), ours))
    now = bindparam("now", type_=BigInteger)
    return (
        select(
            mine.c.seq, mine.c.op_id, mine.c.service_id, mine.c.exclusive, mine.c.fence, mine.c.kind, mine.c.lease_until
        )
        .where(
            claimable(mine),
            mine.c.node == bindparam("node"),
            mine.c.next_attempt_at <= now,
            mine.c.lease_until < now,
            which,
            *([mine.c.kind.not_in(bindparam("full", expanding=True))] if but else []),
        )
        .order_by(mine.c.seq)
        .limit(bindparam("most", type_=BigInteger))
        .with_for_update(skip_locked=True, of=mine)
    )


def _take() -> ReturningUpdate[Any]:
    """Make the operations :seqs the :holder's, under the fences that their services have by now."""
    fence = select(service_fence.c.fence).where(service_fence.c.service_id == operation.c.service_id)
    return (
        update(operation)
        .where(operation.c.seq.in_(bindparam("seqs", expanding=True)))
        .values(
            state=case((state_is(operation, State.QUEUED), literal_state(State.RUNNING)), else_=operation.c.state),
            owner=bindparam("holder"),
            fence=case((is_exclusive(operation), fence.scalar_subquery()), else_=operation.c.fence + 1),
            lease_until=bindparam("until"),
            claims_no_progress=operation.c.claims_no_progress + 1,
            updated_at=bindparam("at"),
        )
        .returning(operation)
    )


#: Built once: building them costs more than running them.
READY, READY_BUT, READY_CANCELS = _ready(), _ready(but=True), _ready(cancels_only=True)
READY_BEGUN, READY_BEGUN_BUT, TAKE = _ready(begun=True), _ready(begun=True, but=True), _take()


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
    connection: Connection, vault: Vault, taken: Sequence[Row[Any]], before: Mapping[int, Row[Any]], now: int
) -> list[Claim]:
    claims = []
    for row in sorted(taken, key=lambda row: row.seq):
        try:
            was = before[row.seq]
            claims.append(Claim(read_operation(row, vault), takeover=was.fence > 0, abandoned=was.lease_until > 0))
        except BackstayError as error:
            _rest(connection, row, error, now)
    return claims


def _rest(connection: Connection, row: Row[Any], error: BackstayError, now: int) -> None:
    """Set one operation aside whose data does not open: a missing key must neither stop the queue nor
    fail what works again as soon as the key is back."""
    connection.execute(
        update(operation)
        .where(operation.c.seq == row.seq)
        .values(
            lease_until=0,
            next_attempt_at=now + UNREADABLE_REST_MS,
            claims_no_progress=operation.c.claims_no_progress - 1,
            error_code="data-unreadable",
            error_sentence=f"its data cannot be opened with the present keys: {error}",
        )
    )
