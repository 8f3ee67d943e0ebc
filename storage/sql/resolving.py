"""A person's word on an operation that is STUCK: try again, it is as before, or it is done.

Apart from settling because no claim is held: the state itself is compared and set, so that of two people the
first one decides. Who said it, and why, stands in the outcome and with the dead letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import update

from domain.audit import Actor
from domain.event import ended_document
from domain.operation import State
from domain.outcome import Change, Outcome
from storage.sql import audit
from storage.sql.changes import apply
from storage.sql.reservations import free
from storage.sql.rows import closed_operation
from storage.sql.sealed import Vault, to_json
from storage.sql.settle import tell_outcome
from storage.sql.states import state_is
from storage.sql.tables import dead_letter, operation
from storage.sql.transactions import Transactions

ENDS = {"retry": State.COMPENSATING, "accept": State.ROLLED_BACK, "force": State.SUCCEEDED}


def resolve(
    tx: Transactions, vault: Vault, op_id: str, how: str, by: Actor, note: str, changes: Sequence[Change]
) -> State | None:
    """The state after; None when it was not STUCK any more. ValueError for an unknown `how`."""
    if how not in ENDS:
        raise ValueError(f"{how!r} is none of {', '.join(ENDS)}")
    state = ENDS[how]
    with tx.write("resolve") as connection:
        now = tx.now(connection)
        row = connection.execute(
            update(operation)
            .where(operation.c.op_id == op_id, state_is(operation, State.STUCK))
            .values(
                state=state.value,
                attempts=0,
                claims_no_progress=0,
                lease_until=0,
                next_attempt_at=0,
                cancel_requested=0,
                updated_at=now,
            )
            .returning(operation)
        ).first()
        if row is None:
            return None
        stuck = closed_operation(row)
        if how != "retry":
            outcome = _outcome(stuck.outcome or {}, state, by.name, note)
            connection.execute(
                update(operation)
                .where(operation.c.op_id == op_id)
                .values(outcome=to_json(ended_document(stuck, outcome)), error_code=outcome.code)
            )
            apply(tx, connection, vault, stuck, changes, now)
            tell_outcome(connection, stuck, outcome, now)
            free(connection, op_id)
        connection.execute(
            update(dead_letter)
            .where(dead_letter.c.op_id == op_id, dead_letter.c.resolution.is_(None))
            .values(
                resolution="discarded",
                resolved_by=by.name,
                resolved_note=f"resolved: {how}. {note}"[:1000],
                resolved_at=now,
            )
        )
        entry = by.entry(
            "operation.resolve", f"operation/{op_id}", tenant_id=stuck.tenant_id, reason=note, detail={"how": how}
        )
        audit.write(connection, entry, now)
        tx.ring(connection)
    return state


def _outcome(before: dict[str, object], state: State, by: str, note: str) -> Outcome:
    """As it was told when it got STUCK, with the word of the person."""
    kept = replace(Outcome.turned_back(before), state=state, code="resolved-by-operator", next_step="")
    says = "is as before" if state is State.ROLLED_BACK else "holds its target"
    return replace(
        kept,
        sentence=f"{by} states that it {says}: {note or 'no reason given'}",
        complete=False,
        figures=kept.figures | {"resolved_by": by, "note": note, "stuck_because": before.get("sentence")},
    )
