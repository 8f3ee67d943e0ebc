"""Services that an operation holds besides its own, and the one fence that is good for all of them.

Apart from claiming because only upgrades and rollbacks of groups do it. The reservation stands in the row of
the service's fence, which claiming writes as well: whoever comes second sees the first, on either database.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, or_, select, update

from domain.contracts import Claim
from domain.errors import ServiceBusy
from storage.sql.guard import hold
from storage.sql.states import reserving
from storage.sql.tables import operation, service_fence
from storage.sql.transactions import Transactions


def reserved_by(op_id: str) -> ColumnElement[bool]:
    """Rows that the operation has reserved; with the condition of their partial index."""
    return and_(service_fence.c.reserved_by != literal_column("''"), service_fence.c.reserved_by == op_id)


def reserve(tx: Transactions, claim: Claim, service_ids: Sequence[str], lease_ms: int) -> None:
    """Hold the services and the operation's own, or none of them."""
    op_id = claim.operation.op_id
    names = sorted({claim.operation.service_id, *service_ids})
    with tx.write("reserve") as connection:
        now = tx.now(connection)
        hold(connection, claim, lease_until=now + lease_ms, updated_at=now)
        statement = tx.insert(service_fence).values(
            [{"service_id": name, "fence": 1, "reserved_by": op_id} for name in names]
        )
        taken = connection.scalars(
            statement.on_conflict_do_update(
                index_elements=[service_fence.c.service_id],
                set_={"reserved_by": op_id},
                where=service_fence.c.reserved_by.in_(["", op_id]),
            ).returning(service_fence.c.service_id)
        ).all()
        # After the rows of the fences are locked: a claim that was faster is visible by now.
        busy = connection.scalar(
            select(operation.c.service_id)
            .where(operation.c.service_id.in_(names), operation.c.op_id != op_id, reserving(operation))
            .limit(1)
        )
        missing = busy or next((name for name in names if name not in taken), None)
        if missing is not None:
            raise ServiceBusy(f"service {missing} of the group is held by another operation")
        fence = _raise(connection, reserved_by(op_id))
        hold(connection, claim, fence=fence)
    claim.fence = fence


def bump(tx: Transactions, claim: Claim, lease_ms: int) -> None:
    """A fence above all that were sent so far, for everything the operation holds."""
    op_id, service_id = claim.operation.op_id, claim.operation.service_id
    with tx.write("bump") as connection:
        now = tx.now(connection)
        hold(connection, claim, lease_until=now + lease_ms, updated_at=now)
        fence = _raise(connection, or_(service_fence.c.service_id == service_id, reserved_by(op_id)))
        hold(connection, claim, fence=fence)
    claim.fence = fence


def raise_reserved(connection: Connection, op_ids: Sequence[str]) -> None:
    """One common new fence for all services of each of these operations, when they are claimed again."""
    for op_id in op_ids:
        _raise(connection, reserved_by(op_id))


def free(connection: Connection, op_id: str) -> None:
    """The operation has ended: what it reserved may be claimed again."""
    connection.execute(update(service_fence).where(reserved_by(op_id)).values(reserved_by=""))


def _raise(connection: Connection, held: ColumnElement[bool]) -> int:
    highest = connection.scalar(select(func.max(service_fence.c.fence)).where(held))
    if highest is None:
        return 0
    connection.execute(update(service_fence).where(held).values(fence=highest + 1))
    return int(highest) + 1
