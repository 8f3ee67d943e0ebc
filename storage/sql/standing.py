"""Figures about services for metrics: how old their data is, against which goal, when it was last read back or drilled.

Apart from the other figures because services may be many: those that miss their goals, and then those with the oldest
data, are named, up to a bound; the others are counted. A snapshot of the configuration alone brings no data back, so
it counts for nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, literal_column, or_, select

from domain.verification import READ_BACK
from storage.sql.schedule_tables import drill, firing, schedule
from storage.sql.tables import service, snapshot


def standing(connection: Connection, most: int, now: int) -> dict[str, Any]:
    """Keys: services, services_without_snapshot, rpo_missed, drills_failed, schedule_late_age (milliseconds), and
    standing: at most `most` of {tenant, service, newest, goal_seconds, verified_at, drilled_at, recovery_ms}, the
    worst first; times are UTC milliseconds, None when there is none."""
    newest = (
        select(snapshot.c.taken_at)
        .where(
            snapshot.c.service_id == service.c.service_id,
            literal_column("snapshot.state <> 'deleting'"),  # as in the index snapshot_service
            literal_column("snapshot.state = 'available'"),
            snapshot.c.has_data == 1,
        )
        .order_by(snapshot.c.taken_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    names = (service.c.tenant_id, service.c.service_id, service.c.rpo_seconds, service.c.rpo_since)
    each = select(*names, newest.label("newest")).subquery()
    missed = and_(
        each.c.rpo_seconds > 0, func.coalesce(each.c.newest, each.c.rpo_since) < now - each.c.rpo_seconds * 1000
    )
    count, with_data, late = connection.execute(
        select(func.count(), func.count(each.c.newest), func.count(case((missed, 1))))
    ).one()
    worst = connection.execute(
        select(each)
        .where(or_(each.c.newest.is_not(None), each.c.rpo_seconds > 0))
        .order_by(case((missed, 0), else_=1), func.coalesce(each.c.newest, each.c.rpo_since), each.c.service_id)
        .limit(most)
    ).all()
    return {
        "services": count,
        "services_without_snapshot": count - with_data,
        "rpo_missed": late,
        "drills_failed": _drills_failed(connection),
        "schedule_late_age": _schedule_late(connection, now),
        "standing": _named(connection, worst),
    }


def _named(connection: Connection, worst: Sequence[Row[Any]]) -> list[dict[str, Any]]:
    names = [row.service_id for row in worst]
    read_back = connection.execute(
        select(snapshot.c.service_id, func.max(snapshot.c.verified_at).label("verified_at"))
        .where(
            snapshot.c.service_id.in_(names),
            literal_column("snapshot.state <> 'deleting'"),
            snapshot.c.verified_level.in_(sorted(READ_BACK)),
        )
        .group_by(snapshot.c.service_id)
    )
    verified = {row.service_id: row.verified_at for row in read_back}
    drilled = {
        row.service_id: row
        for row in connection.execute(
            select(drill).where(drill.c.service_id.in_(names), drill.c.passed == 1, _is_newest_passed())
        )
    }
    return [
        {
            "tenant": row.tenant_id,
            "service": row.service_id,
            "newest": row.newest,
            "goal_seconds": row.rpo_seconds or None,
            "verified_at": verified.get(row.service_id),
            "drilled_at": drilled[row.service_id].ended_at if row.service_id in drilled else None,
            "recovery_ms": drilled[row.service_id].recovery_ms if row.service_id in drilled else None,
        }
        for row in worst
    ]


def _is_newest_passed() -> ColumnElement[bool]:
    other = drill.alias("other")
    last = (
        select(func.max(other.c.ended_at))
        .where(other.c.service_id == drill.c.service_id, other.c.passed == 1)
        .scalar_subquery()
    )
    return drill.c.ended_at == last


def _drills_failed(connection: Connection) -> int:
    """Services whose newest drill did not pass, or took longer than a recovery may take."""
    other = drill.alias("other")
    newest = select(func.max(other.c.ended_at)).where(other.c.service_id == drill.c.service_id).scalar_subquery()
    slow = and_(drill.c.goal_seconds > 0, drill.c.recovery_ms > drill.c.goal_seconds * 1000)
    failed = select(func.count(drill.c.service_id.distinct())).where(
        drill.c.ended_at == newest, or_(drill.c.passed == 0, slow)
    )
    return connection.execute(failed).scalar_one()


def _schedule_late(connection: Connection, now: int) -> int:
    """For how long something that schedules ask for has been due without having been asked for."""
    on = and_(schedule.c.removed == 0, schedule.c.paused == 0, schedule.c.next_at > 0)
    due: list[int | None] = [
        connection.scalar(select(func.min(schedule.c.next_at)).where(on)),
        connection.scalar(select(func.min(firing.c.run_at)).where(literal_column("firing.state = 'planned'"))),
    ]
    return max([0, *(now - at for at in due if at is not None)])
