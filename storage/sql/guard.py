"""The condition that every write of a claim's holder rests on.

Apart from journal and settling because both begin with it and neither may weaken it. It is one guarded
UPDATE at the beginning of the transaction: it renews or ends the lease, locks the row until the commit,
and raises LeaseLost, so that the whole transaction is rolled back, when the claim is not the present one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, update

from domain.contracts import Claim
from domain.errors import LeaseLost
from storage.sql.states import held
from storage.sql.tables import operation


def hold(connection: Connection, claim: Claim, **values: Any) -> bool:
    """Write `values` to the operation's row under the claim's fence; True if a cancel was requested.

    An expired lease that nobody has taken over still counts; one that was given back does not.
    """
    row = connection.execute(
        update(operation)
        .where(
            operation.c.op_id == claim.operation.op_id,
            operation.c.fence == claim.fence,
            operation.c.lease_until > 0,
            held(operation),
        )
        .values(**values)
        .returning(operation.c.cancel_requested)
    ).first()
    if row is None:
        raise LeaseLost(
            f"operation {claim.operation.op_id} is no longer held under fence {claim.fence}",
            next_step="nothing to do: whoever holds it now goes on with it",
        )
    return bool(row.cancel_requested)
