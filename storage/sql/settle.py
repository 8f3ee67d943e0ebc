"""How a claim ends: with the operation's one outcome, or with the operation back in the queue.

Apart from the journal because every function here gives the lease up. Settling is one transaction: the
guard, the domain rows, the terminal state, the event and the dead letter, or nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Case, ColumnElement, Connection, and_, case, exists, or_, select, update

from domain.audit import Actor
from domain.contracts import Claim, Event
from domain.edition import EDITION, edition_for
from domain.errors import Cancelled, DeadlineExceeded
from domain.event import ended_document, outcome_event, topic
from domain.operation import TERMINAL, Operation, State
from domain.outcome import Outcome
from storage.sql import audit
from storage.sql.changes import apply
from storage.sql.guard import hold
from storage.sql.ids import new_id
from storage.sql.letters import keep_operation
from storage.sql.outbox import tell, tell_anew
from storage.sql.reservations import free
from storage.sql.rows import closed_operation
from storage.sql.sealed import Vault, to_json
from storage.sql.states import held, state_is
from storage.sql.tables import operation, step
from storage.sql.transactions import Transactions

#: Ends that always need a person.
ALWAYS_KEPT = frozenset({State.FAILED, State.STUCK})
#: Operations that one call of `expire` ends, so that its transaction stays short.
MOST_EXPIRED = 100


def settle(
    tx: Transactions, vault: Vault, claim: Claim, outcome: Outcome, kept: frozenset[State] = ALWAYS_KEPT
) -> None:
    """The end, or STUCK; in the states `kept` with a dead letter. ValueError for an outcome that is neither."""
    if outcome.state not in TERMINAL and outcome.state is not State.STUCK:
        raise ValueError(f"an operation cannot be settled as {outcome.state}")
    with tx.write("settle") as connection:
        now = tx.now(connection)
        hold(
            connection,
            claim,
            state=outcome.state.value,
            outcome=to_json(ended_document(claim.operation, outcome)),
            error_code=outcome.code,
            error_sentence=None,
            lease_until=0,
            next_attempt_at=0,
            updated_at=now,
        )
        apply(tx, connection, vault, claim.operation, outcome.changes, now)
        tell_outcome(connection, claim.operation, outcome, now)
        if outcome.state in TERMINAL:
            free(connection, claim.operation.op_id)
        if outcome.state in kept:
            keep_operation(tx, connection, vault, claim.operation, outcome, now)
        tx.ring(connection)  # the next operation of the service may be ready


def retry_later(tx: Transactions, claim: Claim, delay_ms: int, code: str, sentence: str, *, attempts: int = 1) -> None:
    """Durable backoff. The claim is taken off the poison count: it ended in an orderly way, and counts as
    an attempt instead; or, with `attempts` 0, as nothing."""
    with tx.write("retry-later") as connection:
        now = tx.now(connection)
        hold(
            connection,
            claim,
            attempts=operation.c.attempts + attempts,
            claims_no_progress=_one_claim_less(),
            error_code=code,
            error_sentence=sentence,
            lease_until=0,
            next_attempt_at=now + delay_ms,
            updated_at=now,
        )


def reroute(tx: Transactions, claim: Claim, node: str | None) -> None:
    """Give the operation to another node, or to any."""
    asked = claim.operation
    # Who has not begun it leaves it to every program that understands it.
    edition = EDITION if claim.takeover else edition_for(asked.kind, asked.data)
    with tx.write("reroute") as connection:
        now = tx.now(connection)
        hold(
            connection, claim, node=node or "", claims_no_progress=_one_claim_less(), lease_until=0, next_attempt_at=0,
            edition=edition, updated_at=now,
        )  # fmt: skip
        tx.ring(connection)


def release(tx: Transactions, claim: Claim) -> None:
    """Put it back unharmed. If somebody else holds it already there is nothing to put back."""
    with tx.write("release") as connection:
        connection.execute(
            update(operation)
            .where(
                operation.c.op_id == claim.operation.op_id,
                operation.c.fence == claim.fence,
                operation.c.lease_until > 0,
                held(operation),
            )
            .values(
                lease_until=0,
                next_attempt_at=0,
                claims_no_progress=_one_claim_less(),
                updated_at=tx.now(connection),
            )
        )
        tx.ring(connection)


def release_dead(tx: Transactions, owner_is_dead: Callable[[str], bool]) -> int:
    """Free the leases of owners that are certainly gone. Their claims stay on the poison count."""
    with tx.read() as connection:
        owners = connection.scalars(
            select(operation.c.owner).where(held(operation), operation.c.lease_until > 0).distinct()
        ).all()
    dead = [owner for owner in owners if owner and owner_is_dead(owner)]
    if not dead:
        return 0
    with tx.write("release-dead") as connection:
        freed = connection.execute(
            update(operation)
            .where(held(operation), operation.c.lease_until > 0, operation.c.owner.in_(dead))
            .values(lease_until=0, updated_at=tx.now(connection))
        ).rowcount
        tx.ring(connection)
    return freed


def request_cancel(tx: Transactions, op_id: str, by: Actor | None = None) -> State | None:
    """Cancel what has not started; flag what runs, and let a waiting retry see the flag at once. `by` is the person
    who asks, if none of the commands of the inbox does."""
    with tx.write("cancel") as connection:
        now = tx.now(connection)
        error = Cancelled(f"operation {op_id} was cancelled before it had started")
        if _end_unstarted(connection, op_id, Outcome.cancelled(error), now):
            _tell_who(connection, op_id, by, State.QUEUED, now)
            tx.ring(connection)
            return State.CANCELLED
        flagged = connection.execute(
            update(operation)
            .where(operation.c.op_id == op_id, state_is(operation, State.RUNNING))
            .values(
                cancel_requested=1,
                next_attempt_at=case((operation.c.lease_until == 0, 0), else_=operation.c.next_attempt_at),
                updated_at=now,
            )
        )
        if flagged.rowcount:
            _tell_who(connection, op_id, by, State.RUNNING, now)
        state = connection.scalar(select(operation.c.state).where(operation.c.op_id == op_id))
        tx.ring(connection)
        return None if state is None else State(state)


def _tell_who(connection: Connection, op_id: str, by: Actor | None, was: State, now: int) -> None:
    if by is not None:
        tenant_id = connection.execute(select(operation.c.tenant_id).where(operation.c.op_id == op_id)).scalar_one()
        detail = {"was": was.value}
        entry = by.entry("operation.cancel", f"operation/{op_id}", tenant_id=tenant_id, detail=detail)
        audit.write(connection, entry, now)


def expire(tx: Transactions) -> int:
    """End what was never started and is past its deadline, also when the node it waits for never comes. Looked for
    before anything is locked: that reads everything that is queued, and as a rule there is nothing to write."""
    with tx.read() as connection:
        now = tx.now(connection)
        overdue = (operation.c.deadline_at > 0, operation.c.deadline_at <= now)
        late = connection.scalars(
            select(operation.c.op_id).where(state_is(operation, State.QUEUED), *overdue).limit(MOST_EXPIRED)
        ).all()
        begun = [
            connection.scalar(select(operation.c.op_id).where(found).limit(1)) for found in (_ahead(now), _adrift(now))
        ]
    if not late and not any(begun):
        return 0
    with tx.write("expire") as connection:
        now, freed = tx.now(connection), 0
        if any(begun):
            _come_back(connection, now)
            anyone = update(operation).where(_adrift(now)).values(node="", next_attempt_at=0, updated_at=now)
            freed = connection.execute(anyone).rowcount
        ended = 0
        for op_id in late:
            error = DeadlineExceeded(f"the deadline of operation {op_id} passed before it had started")
            ended += _end_unstarted(connection, op_id, Outcome.cancelled(error), now)
        if ended or freed:
            tx.ring(connection)
        return ended


def _adrift(now: int) -> ColumnElement[bool]:
    """What a node that is gone had begun, and has touched nothing with, may be ended by any other."""
    return and_(
        state_is(operation, State.RUNNING),
        operation.c.lease_until < now,
        operation.c.node != "",
        or_(operation.c.cancel_requested == 1, and_(operation.c.deadline_at > 0, operation.c.deadline_at <= now)),
        ~exists().where(step.c.op_id == operation.c.op_id),
    )


def _ahead(now: int) -> ColumnElement[bool]:
    """Begun, and written before the clock went back."""
    return and_(state_is(operation, State.RUNNING, State.COMPENSATING), operation.c.updated_at > now)


def _come_back(connection: Connection, now: int) -> None:
    """What was written before the clock went back keeps the lengths of its lease and its wait, not their ends: else
    they would last for as long as the clock has gone back. At least as long as granted, so nobody loses a lease."""
    ends = {
        column: case((column > operation.c.updated_at, column - operation.c.updated_at + now), else_=column)
        for column in (operation.c.lease_until, operation.c.next_attempt_at)
    }
    connection.execute(
        update(operation)
        .where(_ahead(now))
        .values({column.name: end for column, end in ends.items()} | {"updated_at": now})
    )


def _end_unstarted(connection: Connection, op_id: str, outcome: Outcome, now: int) -> bool:
    """QUEUED to CANCELLED, with its event, by compare-and-set."""
    ended = connection.execute(
        update(operation)
        .where(operation.c.op_id == op_id, state_is(operation, State.QUEUED))
        .values(
            state=State.CANCELLED.value,
            error_code=outcome.code,
            cancel_requested=1,
            updated_at=now,
        )
        .returning(operation)
    ).first()
    if ended is None:
        return False
    was = closed_operation(ended)
    connection.execute(
        update(operation).where(operation.c.op_id == op_id).values(outcome=to_json(ended_document(was, outcome)))
    )
    tell_outcome(connection, was, outcome, now)
    return True


def _one_claim_less() -> Case[int]:
    counted = operation.c.claims_no_progress
    return case((counted > 0, counted - 1), else_=0)


def end_unheld(connection: Connection, ended: Operation, outcome: Outcome, now: int) -> None:
    """The end, or STUCK, of an operation that nobody holds and whose row the caller has locked, with its event."""
    connection.execute(
        update(operation)
        .where(operation.c.op_id == ended.op_id)
        .values(
            state=outcome.state.value,
            outcome=to_json(ended_document(ended, outcome)),
            error_code=outcome.code,
            error_sentence=None,
            lease_until=0,
            next_attempt_at=0,
            updated_at=now,
        )
    )
    tell_outcome(connection, ended, outcome, now)


def tell_outcome(connection: Connection, ended: Operation, outcome: Outcome, now: int) -> None:
    """The outcome's event, in the transaction that makes it true."""
    event_id = new_id()
    payload = outcome_event(ended, outcome, event_id, now)
    where = topic(ended.kind, outcome.event_name(), ended.tenant_id)
    say = tell_anew if outcome.state is State.STUCK else tell
    say(connection, Event(event_id, ended.op_id, where, ended.reply_to, payload), now)
