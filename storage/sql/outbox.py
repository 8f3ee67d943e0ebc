"""Events waiting to be told: written in the transaction that makes them true, sent by the relay.

Apart from the ledger because the relay needs nothing else. An event is told at least once: a relay that
dies after the broker's confirmation and before `sent` leaves it to the next, under the same event id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from domain.contracts import Event
from storage.sql.sealed import to_json
from storage.sql.tables import outbox
from storage.sql.transactions import Transactions

#: Milliseconds; for longer than that no event is held.
LONGEST_HOLD_MS = 300_000

_NOW = bindparam("now", type_=BigInteger)


def tell(connection: Connection, event: Event, now: int) -> None:
    """Add an event to the caller's transaction. Conflict if the operation already told this topic."""
    connection.execute(
        insert(outbox).values(
            event_id=event.event_id,
            op_id=event.op_id,
            topic=event.topic,
            reply_to=event.reply_to,
            payload=to_json(event.payload),
            created_at=now,
        )
    )


def tell_anew(connection: Connection, event: Event, now: int) -> None:
    """As `tell`, in place of what the operation told under that topic before, sent or not.

    For STUCK, the one outcome that may come twice: a person let the operation try again, in vain, and
    must hear of that too. It is another event, with an id of its own.
    """
    connection.execute(delete(outbox).where(outbox.c.op_id == event.op_id, outbox.c.topic == event.topic))
    tell(connection, event, now)


class SqlOutbox:
    """The port `Outbox`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def take(self, limit: int, hold_ms: int) -> list[Event]:
        """See the port."""
        with self._tx.write("outbox-take") as connection:
            now = self._tx.now(connection)
            asked = {"now": now, "longest": now + max(hold_ms, LONGEST_HOLD_MS)}
            fresh = connection.scalars(FRESH, asked | {"most": limit}).all()
            asked["most"] = max(limit - len(fresh), limit // 2)
            # Where there is more to come, a hold behind it is rare; looking would read all that waits, each time.
            if len(fresh) == limit:
                over = connection.scalars(OVER_BEFORE, asked | {"before": fresh[-1]}).all()
            else:
                over = connection.scalars(OVER, asked).all()
            fresh = fresh[: limit - len(over)]
            turns = [seq for seq in chain.from_iterable(zip_longest(fresh, over)) if seq is not None]
            if not turns:
                return []
            taken = connection.execute(
                update(outbox).where(outbox.c.seq.in_(turns)).values(held_until=now + hold_ms).returning(outbox)
            ).all()
        rows = {row.seq: row for row in taken}
        return [_event(rows[seq]) for seq in turns]

    def sent(self, event_ids: Sequence[str]) -> None:
        """The broker confirmed them. Repeating it changes nothing."""
        if not event_ids:
            return
        with self._tx.write("outbox-sent") as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.event_id.in_(list(event_ids)), outbox.c.sent_at.is_(None))
                .values(sent_at=self._tx.now(connection))
            )

    def pass_over(self, holds: Mapping[str, int]) -> None:
        """See the port. Repeating it makes the hold begin again."""
        if not holds:
            return
        with self._tx.write("outbox-pass-over") as connection:
            now = self._tx.now(connection)
            for hold_ms in sorted(set(holds.values())):
                event_ids = [event_id for event_id, wanted in holds.items() if wanted == hold_ms]
                connection.execute(
                    update(outbox)
                    .where(outbox.c.event_id.in_(event_ids), outbox.c.sent_at.is_(None))
                    .values(held_until=now + min(hold_ms, LONGEST_HOLD_MS))
                )

    def waiting(self) -> tuple[int, int]:
        """How many are unsent, and the age of the oldest in milliseconds."""
        with self._tx.read() as connection:
            count, oldest = connection.execute(
                select(func.count(), func.min(outbox.c.created_at)).where(outbox.c.sent_at.is_(None))
            ).one()
            return count, max(0, self._tx.now(connection) - oldest) if count else 0


def _waits(rows: FromClause) -> tuple[ColumnElement[bool], ...]:
    """Unsent, and held by nobody. A hold that is longer than any was made before the clock went back."""
    return rows.c.sent_at.is_(None), ~rows.c.held_until.between(_NOW + 1, bindparam("longest"))


def _may_be_taken() -> Select[Any]:
    """Not what would come before something that its operation has to tell first and that may be taken, too."""
    first = outbox.alias("first")
    behind = (first.c.op_id == outbox.c.op_id, first.c.seq < outbox.c.seq, first.c.held_until > outbox.c.held_until)
    return (
        select(outbox.c.seq)
        .where(*_waits(outbox), ~exists().where(*behind, *_waits(first)))
        .limit(bindparam("most", type_=BigInteger))
        .with_for_update(skip_locked=True)
    )


def _over() -> Select[Any]:
    """What was taken and not told, and whose hold is over: whichever has been so for the longest time first, so that
    each has its turn; by `seq` those that nobody takes would always come before the others."""
    held = outbox.c.held_until
    return _may_be_taken().where(held > 0).order_by(case((held > _NOW, 0), else_=held), outbox.c.seq)


#: What no relay has taken yet, oldest first: the index of what waits, in its order. At :now, in UTC milliseconds, at
#: most :most; no hold ends later than :longest.
FRESH = _may_be_taken().where(outbox.c.held_until == 0).order_by(outbox.c.seq)
OVER = _over()
OVER_BEFORE = OVER.where(outbox.c.seq < bindparam("before"))


def _event(row: Any) -> Event:
    return Event(
        event_id=row.event_id, op_id=row.op_id, topic=row.topic, reply_to=row.reply_to, payload=json.loads(row.payload)
    )
