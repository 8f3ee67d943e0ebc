"""Which operations are ready for a node: the questions that a claim asks.

Apart from the claim, which writes, because these are the hot queries, and their text must match the partial indexes.
One node at a time instead of an OR, because no index serves the OR. Nothing here orders by `seq` alone: PostgreSQL
would then walk the primary key, through everything that has ended, as soon as it believes that much is waiting.

What waits behind an operation of its own service is passed over row by row, without looking at anything else for each:
a claim among tens of thousands of them takes tens of milliseconds, and those of others are found all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    union_all,
)

from domain.edition import EDITION
from domain.node import UNLIMITED
from domain.operation import State
from storage.sql.capacity import held_by
from storage.sql.states import claimable, is_exclusive, reserving, state_is, unfinished
from storage.sql.tables import operation, service_fence

_NOTHING: ColumnElement[str] = literal_column("''")


def _due(table: FromClause) -> ColumnElement[bool]:
    """Its time has come, nobody holds it, and this program may take it."""
    now = bindparam("now", type_=BigInteger)
    understood = table.c.edition <= literal_column(str(EDITION))
    return and_(table.c.next_attempt_at <= now, table.c.lease_until < now, understood)


def _bound(table: FromClause) -> ColumnElement[bool]:
    """Claimable at all, and bound to :node, or with "" to none; as in the index op_turn."""
    return and_(claimable(table), table.c.node == bindparam("node"))


def _in_turn(mine: FromClause) -> ColumnElement[bool]:
    """An operation that has started comes first in its service; one that is queued waits until it is the oldest and
    the service is nobody's. The services that are somebody's are read once: what is queued holds none of them."""
    other, active = operation.alias("p"), operation.alias("a")
    held = union_all(
        select(active.c.service_id).where(reserving(active)),
        select(service_fence.c.service_id).where(service_fence.c.reserved_by != _NOTHING),
    )
    oldest = select(func.min(other.c.seq)).where(other.c.service_id == mine.c.service_id, unfinished(other))
    return or_(
        ~is_exclusive(mine),
        state_is(mine, State.RUNNING, State.COMPENSATING),
        and_(mine.c.service_id.not_in(held), mine.c.seq == oldest.correlate(mine).scalar_subquery()),
    )


def _chosen(mine: FromClause, *which: ColumnElement[bool], first: Sequence[ColumnElement[Any]] = ()) -> Select[Any]:
    return (
        select(
            mine.c.seq,
            mine.c.op_id,
            mine.c.service_id,
            mine.c.exclusive,
            mine.c.fence,
            mine.c.kind,
            mine.c.state,
            mine.c.lease_until,
        )
        .where(_bound(mine), _due(mine), *which)
        .order_by(*first, mine.c.created_at, mine.c.seq)
        .limit(bindparam("most", type_=BigInteger))
        .with_for_update(skip_locked=True, of=mine)
    )


def _of_lane() -> Select[Any]:
    """Ready operations of the tenant :tenant and the kind :kind."""
    mine = operation.alias("o")
    return _chosen(mine, mine.c.kind == bindparam("kind"), mine.c.tenant_id == bindparam("tenant"), _in_turn(mine))


def _cancels() -> Select[Any]:
    """In the order of the index: else SQLite, once somebody has run ANALYZE, reads everything that waits."""
    mine = operation.alias("o")
    return _chosen(mine, mine.c.kind == literal_column(f"'{UNLIMITED}'"), first=[mine.c.tenant_id])


def _begun(*, but: bool) -> Select[Any]:
    """What the node :holder has begun, and cancels; with `but` none of the kinds :full."""
    mine = operation.alias("o")
    ours = or_(mine.c.node != _NOTHING, held_by(mine, bindparam("holder", type_=Text)))
    is_cancel = mine.c.kind == literal_column(f"'{UNLIMITED}'")
    begun = or_(is_cancel, and_(state_is(mine, State.RUNNING, State.COMPENSATING), ours))
    return _chosen(mine, begun, *([mine.c.kind.not_in(bindparam("full", expanding=True))] if but else []))


def _lanes() -> Select[Any]:
    """Each kind of each tenant of which something waits, and the number of its first ready operation, if one is ready.

    From one kind, and from one tenant, to the next by a search of the index, however many rows lie between them.
    """
    rows, mine = operation.alias("l"), operation.alias("o")
    kinds: CTE = select(func.min(rows.c.kind).label("kind")).where(_bound(rows)).cte("kinds", recursive=True)
    kinds = kinds.union_all(
        select(select(func.min(rows.c.kind)).where(_bound(rows), rows.c.kind > kinds.c.kind).scalar_subquery()).where(
            kinds.c.kind.is_not(None)
        )
    )
    tenant = select(func.min(rows.c.tenant_id)).where(_bound(rows))
    lanes: CTE = select(
        kinds.c.kind, tenant.where(rows.c.kind == kinds.c.kind).scalar_subquery().label("tenant")
    ).where(kinds.c.kind.is_not(None)).cte("lanes")  # fmt: skip
    following = tenant.where(rows.c.kind == lanes.c.kind, rows.c.tenant_id > lanes.c.tenant).scalar_subquery()
    lanes = lanes.union_all(select(lanes.c.kind, following).where(lanes.c.tenant.is_not(None)))
    first = (
        select(mine.c.seq)
        .where(
            _bound(mine), mine.c.kind == lanes.c.kind, mine.c.tenant_id == lanes.c.tenant, _due(mine), _in_turn(mine)
        )
        .order_by(mine.c.created_at, mine.c.seq)
        .limit(literal_column("1"))
        .scalar_subquery()
    )
    return select(lanes.c.kind, lanes.c.tenant, first.label("first")).where(lanes.c.tenant.is_not(None))


#: Built once: building them costs more than running them.
LANES, READY, READY_CANCELS = _lanes(), _of_lane(), _cancels()
READY_BEGUN, READY_BEGUN_BUT = _begun(but=False), _begun(but=True)
