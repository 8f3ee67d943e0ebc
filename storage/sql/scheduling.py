"""Schedules and drills as settling writes them.

Apart from the other changes because commands about a schedule reserve nothing, or pausing one would wait for a
service's work: whichever is carried out first, the order in which they were accepted decides.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from domain.drill import Drill
from domain.operation import Operation
from domain.schedule import CatchUp, Pause, Schedule
from domain.schedule_changes import PauseSchedule, RemoveSchedule, SaveDrill, SaveSchedule
from storage.sql.schedule_tables import drill, schedule
from storage.sql.sealed import to_json
from storage.sql.transactions import Transactions


def save_schedule(tx: Transactions, connection: Connection, doing: Operation, change: SaveSchedule, now: int) -> None:
    """Make it or replace its definition, unless a newer command has."""
    wanted = change.schedule
    row = _locked(connection, wanted.tenant_id, wanted.name)
    if row is not None and row.seq >= doing.seq:
        return
    values = _definition(wanted) | {"changed_by": doing.source, "seq": doing.seq, "updated_at": now}
    if row is None:
        key = {"tenant_id": wanted.tenant_id, "name": wanted.name}
        connection.execute(
            tx.insert(schedule).values(key | values | {"schedule_id": doing.op_id, "next_at": wanted.next_at})
        )
        return
    if row.removed:
        values |= {"removed": 0, "schedule_id": doing.op_id, "next_at": wanted.next_at, **_unpaused(doing.seq)}
    elif (row.cron, row.zone) != (wanted.cron, wanted.zone):
        values |= {"next_at": wanted.next_at}
    _write(connection, wanted.tenant_id, wanted.name, values)


def remove_schedule(connection: Connection, doing: Operation, change: RemoveSchedule, now: int) -> None:
    """It stays as a row, so that an older command which is carried out later does not bring it back."""
    row = _locked(connection, change.tenant_id, change.name)
    if row is not None and row.seq < doing.seq:
        values = {"removed": 1, "seq": doing.seq, "changed_by": doing.source, "updated_at": now}
        _write(connection, change.tenant_id, change.name, values)


def pause_schedule(connection: Connection, doing: Operation, change: PauseSchedule, now: int) -> None:
    """Pause it or let it go on, unless a newer command has."""
    row = _locked(connection, change.tenant_id, change.name)
    if row is None or row.removed or row.pause_seq >= doing.seq:
        return
    values = _unpaused(doing.seq) | {"updated_at": now}
    if change.pause is not None:
        values |= {
            "paused": 1,
            "pause_reason": change.pause.reason,
            "pause_by": change.pause.by,
            "pause_at": change.pause.at,
            "pause_until": change.pause.until,
        }
    elif change.next_at:
        values["next_at"] = max(row.next_at, change.next_at)
    _write(connection, change.tenant_id, change.name, values)


def save_drill(connection: Connection, change: SaveDrill, now: int) -> None:
    """Write down what it has shown."""
    found = change.drill
    values = {name: getattr(found, name) for name in Drill.__dataclass_fields__}
    connection.execute(insert(drill).values(values | {"passed": int(found.passed), "ended_at": now}))


def schedule_of(row: Row[Any]) -> Schedule:
    """The record."""
    pause = Pause(row.pause_reason, row.pause_by, row.pause_at, row.pause_until) if row.paused else None
    return Schedule(
        tenant_id=row.tenant_id,
        name=row.name,
        kind=row.kind,
        cron=row.cron,
        schedule_id=row.schedule_id,
        service_id=row.service_id,
        zone=row.zone,
        jitter_seconds=row.jitter_seconds,
        catch_up=CatchUp(row.catch_up),
        coalesce=bool(row.joins),
        data=json.loads(row.data),
        pause=pause,
        next_at=row.next_at,
        changed_at=row.updated_at,
        changed_by=row.changed_by,
        seq=row.seq,
    )


def _definition(wanted: Schedule) -> dict[str, Any]:
    return {
        "service_id": wanted.service_id,
        "kind": wanted.kind,
        "data": to_json(wanted.data),
        "cron": wanted.cron,
        "zone": wanted.zone,
        "jitter_seconds": wanted.jitter_seconds,
        "catch_up": wanted.catch_up.value,
        "joins": int(wanted.coalesce),
    }


def _unpaused(seq: int) -> dict[str, Any]:
    return {"paused": 0, "pause_reason": "", "pause_by": "", "pause_at": 0, "pause_until": 0, "pause_seq": seq}


def _locked(connection: Connection, tenant_id: str, name: str) -> Row[Any] | None:
    return connection.execute(
        select(schedule).where(schedule.c.tenant_id == tenant_id, schedule.c.name == name).with_for_update()
    ).first()


def _write(connection: Connection, tenant_id: str, name: str, values: dict[str, Any]) -> None:
    connection.execute(
        update(schedule).where(schedule.c.tenant_id == tenant_id, schedule.c.name == name).values(values)
    )
