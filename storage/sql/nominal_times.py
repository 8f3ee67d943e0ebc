"""Rows of nominal times, and the schedule's next one beside them: on with the clock, and back with it.

Apart from `schedules`, which reads them and ends them, because both must leave the two in step in one commit: a time
that has a row is never planned again, and one that has none is forgotten once the schedule is past it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, or_, select, update

from domain.due import run_at
from domain.schedule import Firing, Schedule
from storage.sql.schedule_tables import firing, schedule
from storage.sql.transactions import Transactions


def plan(tx: Transactions, planned: Schedule, next_at: int, firings: Sequence[Firing], decided_at: int) -> int | None:
    """See the port `Schedules`."""
    with tx.write("schedule-plan") as connection:
        now = tx.now(connection)
        if decided_at > now:
            return None
        over = and_(schedule.c.paused == 1, schedule.c.pause_until > 0, schedule.c.pause_until <= now)
        moved = connection.execute(
            update(schedule)
            .where(*_unmoved(planned), or_(schedule.c.paused == 0, over) if firings else schedule.c.removed == 0)
            .values(next_at=next_at, paused=case((over, 0), else_=schedule.c.paused))
        ).rowcount
        if not moved:
            return None
        if not firings:
            return 0
        rows = [_values(one, now) for one in firings]
        new = connection.scalars(tx.insert(firing).on_conflict_do_nothing().returning(firing.c.service_id), rows).all()
        return len(new)


def go_back(tx: Transactions, ahead: Schedule, next_at: int) -> bool:
    """See the port `Schedules`."""
    with tx.read() as connection:
        wrong = connection.scalar(select(firing.c.nominal_at).where(*_too_late(ahead, tx.now(connection))).limit(1))
    if wrong is None and next_at == ahead.next_at:
        return True  # clocks go back by a millisecond often, and then nothing is to be written
    with tx.write("schedule-go-back") as connection:
        # Before anything is forgotten: nobody moves it from here on, and it plans again only what lies ahead of it.
        if not connection.execute(update(schedule).where(*_unmoved(ahead)).values(next_at=next_at)).rowcount:
            return False
        now = tx.now(connection)
        if next_at:
            to_come = (firing.c.nominal_at > now, firing.c.nominal_at >= next_at)
            connection.execute(delete(firing).where(*_too_late(ahead, now), *to_come))
        _bring_forward(connection, ahead, now)
        return True


def _bring_forward(connection: Connection, ahead: Schedule, now: int) -> None:
    """What is due by this clock, too, does not wait for the other one: it begins within its jitter."""
    for row in connection.execute(select(firing).where(*_too_late(ahead, now))).all():
        begins = run_at(ahead, row.service_id, row.nominal_at, now)
        same = (firing.c.nominal_at == row.nominal_at, firing.c.service_id == row.service_id)
        connection.execute(update(firing).where(*_too_late(ahead, now), *same).values(run_at=begins, updated_at=now))


def _too_late(ahead: Schedule, now: int) -> tuple[ColumnElement[bool], ...]:
    """Planned by a clock that was ahead: for a time that is still to come, or to begin later than the jitter allows."""
    latest = now + ahead.jitter_seconds * 1000
    return (
        firing.c.schedule_id == ahead.schedule_id,
        firing.c.state == "planned",
        or_(firing.c.nominal_at > now, firing.c.run_at > latest),
    )


def _unmoved(seen: Schedule) -> tuple[ColumnElement[bool], ...]:
    """The schedule is as it was read."""
    return (
        schedule.c.tenant_id == seen.tenant_id,
        schedule.c.name == seen.name,
        schedule.c.next_at == seen.next_at,
        schedule.c.seq == seen.seq,
        schedule.c.removed == 0,
    )


def _values(one: Firing, now: int) -> dict[str, Any]:
    return {
        "schedule_id": one.schedule_id,
        "nominal_at": one.nominal_at,
        "service_id": one.service_id,
        "tenant_id": one.tenant_id,
        "name": one.name,
        "run_at": one.run_at,
        "state": one.state.value,
        "why": one.why,
        "updated_at": now,
    }
