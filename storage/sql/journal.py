"""What a claim's holder writes while it works: the lease, the progress and the steps.

Apart from settling because these writes end nothing. Each begins with the guard, so a holder that has
lost its lease changes nothing; each counts as progress, so an operation that gets on is never poison, but for an
intent that stands already: who repeats it has come no further than whoever died after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, exists, insert, select, update

from domain.contracts import Claim
from domain.operation import State, Step, StepState
from domain.outcome import Change, MarkCorrupt, Outcome
from storage.sql.changes import apply
from storage.sql.guard import hold
from storage.sql.rows import step as read_step
from storage.sql.rows import step_key
from storage.sql.sealed import Vault, to_json
from storage.sql.tables import operation, step
from storage.sql.transactions import Transactions

#: From which states a step may come to each end; its own is among them, so that a repeat is harmless.
BEFORE = {
    StepState.DONE: (StepState.INTENT, StepState.DONE),
    StepState.IGNORED: (StepState.INTENT, StepState.IGNORED),
    StepState.UNDONE: (StepState.INTENT, StepState.DONE, StepState.IGNORED, StepState.UNDONE),
}


def renew(tx: Transactions, claim: Claim, lease_ms: int, progress: dict[str, Any] | None) -> bool:
    """Extend the lease; True when a cancel was requested."""
    with tx.write("renew") as connection:
        now = tx.now(connection)
        kept = {} if progress is None else {"progress": to_json(progress), "claims_no_progress": 0}
        return hold(connection, claim, lease_until=now + lease_ms, updated_at=now, **kept)


def steps(tx: Transactions, vault: Vault, op_id: str) -> list[Step]:
    """The journal so far, by ordinal."""
    with tx.read() as connection:
        found = connection.execute(select(step).where(step.c.op_id == op_id).order_by(step.c.ordinal)).all()
    return [read_step(row, vault) for row in found]


def has_steps(tx: Transactions, op_id: str) -> bool:
    """Whether the journal has anything."""
    with tx.read() as connection:
        return bool(connection.scalar(select(exists().where(step.c.op_id == op_id))))


def intend(
    tx: Transactions,
    vault: Vault,
    claim: Claim,
    ordinal: int,
    kind: str,
    request: dict[str, Any],
    changes: Sequence[Change],
    lease_ms: int,
) -> None:
    """Commit a step as INTENT, with the domain rows that change at this point."""
    key = step_key(claim.operation.op_id, ordinal)
    with tx.write("intend") as connection:
        now = tx.now(connection)
        came = _unless_intended(claim.operation.op_id, ordinal)
        hold(connection, claim, lease_until=now + lease_ms, claims_no_progress=came, updated_at=now)
        values = {
            "kind": kind,
            "state": StepState.INTENT.value,
            "request": vault.close_json(request, "step.request", key),
            "reply": vault.close_json({}, "step.reply", key),
            "fence": claim.fence,
            "updated_at": now,
            "began_at": now,
        }
        connection.execute(
            tx.insert(step)
            .values(op_id=claim.operation.op_id, ordinal=ordinal, **values)
            .on_conflict_do_update(index_elements=[step.c.op_id, step.c.ordinal], set_=values)
        )
        apply(tx, connection, vault, claim.operation, changes, now)


def _unless_intended(op_id: str, ordinal: int) -> ColumnElement[int]:
    """No claims without progress, unless that step has begun already."""
    begun = exists().where(step.c.op_id == op_id, step.c.ordinal == ordinal, step.c.state == StepState.INTENT.value)
    return case((begun, operation.c.claims_no_progress), else_=0)


def intend_many(
    tx: Transactions,
    vault: Vault,
    claim: Claim,
    first_ordinal: int,
    planned: Sequence[tuple[str, dict[str, Any]]],
    lease_ms: int,
) -> None:
    """Commit a plan: all steps as PENDING. An ordinal that is taken already is a Conflict."""
    op_id = claim.operation.op_id
    with tx.write("plan") as connection:
        now = tx.now(connection)
        hold(connection, claim, lease_until=now + lease_ms, claims_no_progress=0, updated_at=now)
        rows = [
            {
                "op_id": op_id,
                "ordinal": ordinal,
                "kind": kind,
                "state": StepState.PENDING.value,
                "request": vault.close_json(request, "step.request", step_key(op_id, ordinal)),
                "reply": vault.close_json({}, "step.reply", step_key(op_id, ordinal)),
                "fence": claim.fence,
                "updated_at": now,
            }
            for ordinal, (kind, request) in enumerate(planned, first_ordinal)
        ]
        if rows:
            connection.execute(insert(step), rows)


def conclude(
    tx: Transactions,
    vault: Vault,
    claim: Claim,
    ordinal: int,
    state: str,
    reply: dict[str, Any],
    lease_ms: int,
    changes: Sequence[Change] = (),
) -> None:
    """Commit what came of a step. ValueError if there is no such step, or it cannot come to that end."""
    with tx.write("conclude") as connection:
        now = tx.now(connection)
        hold(connection, claim, lease_until=now + lease_ms, claims_no_progress=0, updated_at=now)
        _end(connection, vault, claim, {ordinal: reply}, StepState(state), now)
        apply(tx, connection, vault, claim.operation, changes, now)


def advance(
    tx: Transactions,
    vault: Vault,
    claim: Claim,
    ordinal: int,
    reply: dict[str, Any],
    state: str,
    next_ordinal: int,
    lease_ms: int,
) -> None:
    """Conclude one step and intend the next, which must be PENDING: one commit instead of two."""
    op_id = claim.operation.op_id
    with tx.write("advance") as connection:
        now = tx.now(connection)
        hold(connection, claim, lease_until=now + lease_ms, claims_no_progress=0, updated_at=now)
        _end(connection, vault, claim, {ordinal: reply}, StepState(state), now)
        intended = connection.execute(
            update(step)
            .where(step.c.op_id == op_id, step.c.ordinal == next_ordinal, step.c.state == StepState.PENDING.value)
            .values(state=StepState.INTENT.value, fence=claim.fence, began_at=now, updated_at=now)
        )
        if intended.rowcount == 0:
            raise ValueError(f"step {next_ordinal} of operation {op_id} is not PENDING")


def undo_many(
    tx: Transactions, vault: Vault, claim: Claim, replies: Mapping[int, dict[str, Any]], lease_ms: int
) -> None:
    """Several touched steps, by ordinal, become UNDONE with these replies, in one commit."""
    with tx.write("undo") as connection:
        now = tx.now(connection)
        hold(connection, claim, lease_until=now + lease_ms, claims_no_progress=0, updated_at=now)
        _end(connection, vault, claim, replies, StepState.UNDONE, now)


def _end(
    connection: Connection,
    vault: Vault,
    claim: Claim,
    replies: Mapping[int, dict[str, Any]],
    wanted: StepState,
    now: int,
) -> None:
    op_id = claim.operation.op_id
    for ordinal, reply in replies.items():
        changed = connection.execute(
            update(step)
            .where(
                step.c.op_id == op_id,
                step.c.ordinal == ordinal,
                step.c.state.in_([before.value for before in BEFORE.get(wanted, ())]),
            )
            .values(
                state=wanted.value,
                reply=vault.close_json(reply, "step.reply", step_key(op_id, ordinal)),
                fence=claim.fence,
                updated_at=now,
            )
        )
        if changed.rowcount == 0:
            raise ValueError(f"step {ordinal} of operation {op_id} does not exist or cannot become {wanted.value}")


def turn_back(tx: Transactions, vault: Vault, claim: Claim, outcome: Outcome) -> None:
    """RUNNING -> COMPENSATING; `outcome` is kept as the reason, and putting back has a budget of its own.

    Damage that was found is marked now: another worker may end the operation, and knows the reason in words only.
    """
    found = [change for change in outcome.changes if isinstance(change, MarkCorrupt)]
    with tx.write("turn-back") as connection:
        now = tx.now(connection)
        hold(
            connection,
            claim,
            state=State.COMPENSATING.value,
            outcome=to_json(outcome.document()),
            error_code=outcome.code,
            claims_no_progress=0,
            attempts=0,
            updated_at=now,
        )
        apply(tx, connection, vault, claim.operation, found, now)
