"""Events waiting to be told: written in the transaction that makes them true, sent by the relay.

Apart from the ledger because the relay needs nothing else. An event is told at least once: a relay that
dies after the broker's confirmation and before `sent` leaves it to the next, under the same event id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from domain.contracts import Event
from storage.sql.sealed import to_json
from storage.sql.tables import outbox
from storage.sql.transactions import Transactions

#: Milliseconds; for longer than that no event is held.
LONGEST_HOLD_MS = 300_000


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
        """Unsent events, oldest first, held for this relay until `hold_ms` have passed."""
        with self._tx.write("outbox-take") as connection:
            now = self._tx.now(connection)
            wanted = connection.scalars(
                select(outbox.c.seq)
                # A hold that is longer than any was made before the clock went back.
                .where(
                    outbox.c.sent_at.is_(None),
                    ~outbox.c.held_until.between(now + 1, now + max(hold_ms, LONGEST_HOLD_MS)),
                )
                .order_by(outbox.c.seq)
                .limit(limit)
                .with_for_update(skip_locked=True)
            ).all()
            if not wanted:
                return []
            taken = connection.execute(
                update(outbox).where(outbox.c.seq.in_(wanted)).values(held_until=now + hold_ms).returning(outbox)
            ).all()
        return [_event(row) for row in sorted(taken, key=lambda row: row.seq)]

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


def _event(row: Any) -> Event:
    return Event(
        event_id=row.event_id, op_id=row.op_id, topic=row.topic, reply_to=row.reply_to, payload=json.loads(row.payload)
    )
