"""An operation whose data does not open with the present keys: it rests, and ends when somebody wants that.

Apart from the claim, which finds it: a missing key must neither stop the queue nor fail what works again as soon as
the key is back. But a cancel or a deadline is kept all the same, for its service waits behind it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, exists, select, update

from domain.errors import BackstayError, Cancelled, DeadlineExceeded
from domain.operation import Operation, State
from domain.outcome import Outcome
from domain.retry import KEY_REST_MS
from storage.sql.letters import keep_operation
from storage.sql.reservations import free
from storage.sql.rows import closed_operation
from storage.sql.sealed import Vault
from storage.sql.settle import end_unheld
from storage.sql.tables import operation, step
from storage.sql.transactions import Transactions

CODE = "data-unreadable"


def set_aside(
    tx: Transactions, connection: Connection, vault: Vault, row: Row[Any], was: State, error: BackstayError, now: int
) -> None:
    """`row` was just taken and had the state `was`; what is QUEUED again can be cancelled, and expires, as it could."""
    sentence = f"its data cannot be opened with the present keys: {error}"
    asked = closed_operation(row)
    begun = was is not State.QUEUED and bool(connection.scalar(select(exists().where(step.c.op_id == asked.op_id))))
    if not _ends(asked, was, now, begun=begun):
        values: dict[str, Any] = {
            "state": was.value,
            "next_attempt_at": now + KEY_REST_MS,
            "claims_no_progress": operation.c.claims_no_progress - 1,
            "error_code": CODE,
            "error_sentence": sentence,
        }
        connection.execute(update(operation).where(operation.c.seq == row.seq).values(lease_until=0, **values))
        return
    outcome = _stuck(asked, sentence) if begun else _cancelled(asked)
    end_unheld(connection, asked, outcome, now)
    if outcome.state is State.STUCK:
        keep_operation(tx, connection, vault, asked, outcome, now)
    else:
        free(connection, asked.op_id)
    tx.ring(connection)


def _ends(asked: Operation, was: State, now: int, *, begun: bool) -> bool:
    """What has begun could be put back by whoever has the key: it ends only when somebody asks for that although it
    has rested for want of the key, and then as a matter for a person."""
    if was is not State.RUNNING:
        return False
    if begun:
        return asked.cancel_requested and asked.error_code == CODE
    return asked.cancel_requested or 0 < asked.deadline_at <= now


def _cancelled(asked: Operation) -> Outcome:
    if asked.cancel_requested:
        return Outcome.cancelled(Cancelled(f"operation {asked.op_id} was cancelled before it had touched anything"))
    return Outcome.cancelled(
        DeadlineExceeded(f"the deadline of operation {asked.op_id} passed before it had touched anything")
    )


def _stuck(asked: Operation, sentence: str) -> Outcome:
    return Outcome(
        State.STUCK,
        f"it was to end, and what it has begun cannot be put back: {sentence}",
        code=CODE,
        next_step=f"put the key back into the ring, then `backstay operations resolve {asked.op_id} --retry`",
        complete=False,
    )
