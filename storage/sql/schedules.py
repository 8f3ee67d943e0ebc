"""The port `Schedules`: what is due, what it was turned into, and who looks after it.

Apart from `scheduling`, which writes definitions while settling: here rows of nominal times are written, each once,
and turned into operations in the same transaction that ends them.
"""

from __future__ import annotations

import builtins
import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, delete, or_, select, tuple_, update

from domain.contracts import Accepted, Leader, Turn
from domain.operation import State
from domain.schedule import Firing, FiringState, Schedule
from storage.sql import nominal_times
from storage.sql.inbox import SqlInbox
from storage.sql.schedule_tables import firing, schedule, scheduler
from storage.sql.scheduling import schedule_of
from storage.sql.sealed import to_json
from storage.sql.states import beside, unfinished
from storage.sql.tables import operation
from storage.sql.transactions import Transactions

#: The one row of the lease.
_ONE = "scheduler"
#: Ids of operations that a row keeps.
MOST_KEPT = 100


class SqlSchedules:
    """May be shared between threads."""

    def __init__(self, transactions: Transactions, inbox: SqlInbox) -> None:
        self._tx, self._inbox = transactions, inbox

    # ------------------------------------------------------------ reading
    def get(self, tenant_id: str, name: str) -> Schedule | None:
        """See the port."""
        wanted = select(schedule).where(
            schedule.c.tenant_id == tenant_id, schedule.c.name == name, schedule.c.removed == 0
        )
        with self._tx.read() as connection:
            row, now = connection.execute(wanted).first(), self._tx.now(connection)
        return None if row is None else _as_of(row, now)

    def list(self, tenant_id: str | None = None, service_id: str | None = None) -> builtins.list[Schedule]:
        """See the port."""
        return self.page(None if tenant_id is None else [tenant_id], service_id, None)

    def page(
        self,
        tenant_ids: Sequence[str] | None,
        service_id: str | None,
        limit: int | None,
        after: tuple[str, str] | None = None,
    ) -> builtins.list[Schedule]:
        """See the port."""
        wanted = select(schedule).where(schedule.c.removed == 0)
        if tenant_ids is not None:
            wanted = wanted.where(schedule.c.tenant_id.in_(builtins.list(tenant_ids)))
        if service_id is not None:
            wanted = wanted.where(schedule.c.service_id.in_(["", service_id]))
        if after is not None:
            wanted = wanted.where(tuple_(schedule.c.tenant_id, schedule.c.name) > after)
        with self._tx.read() as connection:
            rows = connection.execute(wanted.order_by(schedule.c.tenant_id, schedule.c.name).limit(limit)).all()
            now = self._tx.now(connection)
        return [_as_of(row, now) for row in rows]

    def due(self, now: int) -> builtins.list[Schedule]:
        """See the port."""
        awake = or_(schedule.c.paused == 0, and_(schedule.c.pause_until > 0, schedule.c.pause_until <= now))
        wanted = select(schedule).where(
            schedule.c.removed == 0, schedule.c.next_at > 0, schedule.c.next_at <= now, awake
        )
        with self._tx.read() as connection:
            return [schedule_of(row) for row in connection.execute(wanted.order_by(schedule.c.next_at))]

    def ripe(self, now: int, limit: int) -> builtins.list[Firing]:
        """See the port."""
        wanted = select(firing).where(firing.c.state == "planned", firing.c.run_at <= now)
        with self._tx.read() as connection:
            rows = connection.execute(wanted.order_by(firing.c.run_at, firing.c.service_id).limit(limit)).all()
        return [_firing(row) for row in rows]

    def history(
        self, tenant_id: str, name: str, limit: int, before: tuple[int, str, str] | None = None
    ) -> builtins.list[Firing]:
        """See the port."""
        wanted, at = select(firing).where(firing.c.tenant_id == tenant_id, firing.c.name == name), firing.c.nominal_at
        if before is not None:
            same_time = tuple_(firing.c.service_id, firing.c.schedule_id) > before[1:]
            wanted = wanted.where(or_(at < before[0], and_(at == before[0], same_time)))
        wanted = wanted.order_by(at.desc(), firing.c.service_id, firing.c.schedule_id).limit(limit)
        with self._tx.read() as connection:
            return [_firing(row) for row in connection.execute(wanted)]

    # ------------------------------------------------------------ what the scheduler does
    def plan(self, planned: Schedule, next_at: int, firings: Sequence[Firing] = (), *, decided_at: int) -> int | None:
        """See the port."""
        return nominal_times.plan(self._tx, planned, next_at, firings, decided_at)

    def go_back(self, ahead: Schedule, next_at: int) -> bool:
        """See the port."""
        return nominal_times.go_back(self._tx, ahead, next_at)

    def ask(self, asked: Firing, items: Sequence[Accepted], *, coalesce: bool, why: str = "") -> FiringState | None:
        """See the port."""
        with self._tx.write("schedule-ask") as connection:
            now = self._tx.now(connection)
            ended = connection.execute(
                update(firing).where(*_same(asked), firing.c.state == "planned").values(state="skipped", updated_at=now)
            ).rowcount
            if not ended:
                return None
            why = self._objection(connection, asked, now) or why
            state, ids = (FiringState.SKIPPED, []) if why else self._enter(connection, items, coalesce, now)
            connection.execute(
                update(firing)
                .where(*_same(asked))
                .values(state=state.value, why=why, operations=to_json(ids[:MOST_KEPT]) if ids else "")
            )
            if state is FiringState.ASKED:
                self._tx.ring(connection)
            return state

    def _enter(
        self, connection: Connection, items: Sequence[Accepted], coalesce: bool, now: int
    ) -> tuple[FiringState, builtins.list[str]]:
        waiting = [_waiting(connection, item) if coalesce else None for item in items]
        fresh = [item for item, there in zip(items, waiting, strict=True) if there is None]
        entered = [receipt.op_id or "" for receipt in self._inbox.enter(connection, fresh, now)]
        ids = [op_id for op_id in waiting if op_id is not None] + entered
        state = FiringState.ASKED if entered else FiringState.COALESCED if ids else FiringState.SKIPPED
        return state, ids

    def _objection(self, connection: Connection, asked: Firing, now: int) -> str:
        """Why nothing is asked for after all; "" if nothing stands against it."""
        key = (schedule.c.tenant_id == asked.tenant_id, schedule.c.name == asked.name)
        row = connection.execute(select(schedule).where(*key, schedule.c.removed == 0)).first()
        if row is None or row.schedule_id != asked.schedule_id:
            return "the schedule was removed"
        pause = schedule_of(row).pause
        return f"paused: {pause.reason}" if pause is not None and pause.holds(now) else ""

    def prune(self, before: int) -> int:
        """See the port."""
        with self._tx.write("schedule-prune") as connection:
            return connection.execute(
                delete(firing).where(firing.c.updated_at < before, firing.c.state != "planned")
            ).rowcount

    # ------------------------------------------------------------ the lease
    def lead(self, owner: str, ttl_ms: int, is_dead: Callable[[str], bool]) -> Turn | None:
        """See the port."""
        with self._tx.read() as connection:
            now, row = self._tx.now(connection), _lease(connection)
        if row is not None and row.owner != owner and not is_dead(row.owner) and now < row.lease_until <= now + ttl_ms:
            return None
        if row is not None and row.owner == owner and 0 <= now - row.looked_at < ttl_ms // 3:
            return Turn(now, False)  # long enough still: looking must not write all the time
        with self._tx.write("schedule-lead") as connection:
            now = self._tx.now(connection)
            mine = self._tx.insert(scheduler).values(name=_ONE, owner=owner, lease_until=now + ttl_ms, looked_at=now)
            taken = mine.on_conflict_do_update(
                index_elements=[scheduler.c.name],
                # A time ahead stays until what rests on it was put right: whoever dies before that must not hide it.
                set_={"owner": owner, "lease_until": now + ttl_ms, "looked_at": _later(scheduler.c.looked_at, now)},
                where=_unchanged(row),
            ).returning(scheduler.c.owner)
            if connection.execute(taken).first() is None:
                return None  # somebody else was faster
        return Turn(now, row is not None and now < row.looked_at)

    def put_right(self, owner: str, now: int) -> None:
        """See the port."""
        with self._tx.write("schedule-put-right") as connection:
            ahead = (scheduler.c.owner == owner, scheduler.c.looked_at > now)
            connection.execute(update(scheduler).where(*ahead).values(looked_at=now))

    def step_down(self, owner: str) -> None:
        """See the port."""
        with self._tx.write("schedule-step-down") as connection:
            connection.execute(update(scheduler).where(scheduler.c.owner == owner).values(lease_until=0))

    def leader(self) -> Leader | None:
        """See the port."""
        with self._tx.read() as connection:
            row = _lease(connection)
            now = self._tx.now(connection)
        return None if row is None else Leader(row.owner, row.lease_until, row.looked_at, now)


def _as_of(row: Row[Any], now: int) -> Schedule:
    """The schedule as people should see it: a pause that is over is none, though its columns stay until the next time
    is planned."""
    found = schedule_of(row)
    over = found.pause is not None and not found.pause.holds(now)
    return dataclasses.replace(found, pause=None) if over else found


def _lease(connection: Connection) -> Row[Any] | None:
    return connection.execute(select(scheduler).where(scheduler.c.name == _ONE)).first()


def _later(column: ColumnElement[int], now: int) -> ColumnElement[int]:
    return case((column > now, column), else_=now)


def _unchanged(row: Row[Any] | None) -> Any:
    """The lease is as it was read."""
    if row is None:
        return scheduler.c.owner == ""  # a row that has come since is somebody else's
    return and_(scheduler.c.owner == row.owner, scheduler.c.lease_until == row.lease_until)


def _waiting(connection: Connection, item: Accepted) -> str | None:
    """An operation that is the same command and that nobody has begun. Looked for among the open ones of the service,
    whose index says enough by itself; of commands that reserve nothing, among all that the service has had."""
    command = item.command
    of_service = operation.c.service_id == command.subject.service_id
    if item.exclusive:
        found = operation.alias("found")
        mine = (found.c.service_id == command.subject.service_id, unfinished(found))
        of_service = operation.c.seq.in_(select(found.c.seq).where(*mine))
    return connection.scalar(
        select(operation.c.op_id)
        .where(
            of_service,
            beside(operation.c.state) == State.QUEUED.value,
            beside(operation.c.kind) == command.kind,
            beside(operation.c.tenant_id) == command.subject.tenant_id,
            operation.c.request_hash == item.request_hash,
            operation.c.deadline_at == 0,
        )
        .order_by(operation.c.seq)
        .limit(1)
    )


def _same(one: Firing) -> tuple[Any, ...]:
    return (
        firing.c.schedule_id == one.schedule_id,
        firing.c.nominal_at == one.nominal_at,
        firing.c.service_id == one.service_id,
    )


def _firing(row: Row[Any]) -> Firing:
    return Firing(
        schedule_id=row.schedule_id,
        tenant_id=row.tenant_id,
        name=row.name,
        service_id=row.service_id,
        nominal_at=row.nominal_at,
        run_at=row.run_at,
        state=FiringState(row.state),
        why=row.why,
        operations=tuple(json.loads(row.operations or "[]")),
        updated_at=row.updated_at,
    )
