"""Figures of the whole installation for metrics: what is open, how old it is, how well services are backed up.

Apart from the questions that people ask because a scrape repeats these every few seconds: each is one walk over an
index or over few rows. Of services, which may be many, only those with the oldest data are named; the others are
counted.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, case, func, literal_column, select

from domain.operation import State
from domain.verification import READ_BACK
from storage.sql.node_tables import node
from storage.sql.tables import dead_letter, garbage, operation, service, snapshot
from storage.sql.transactions import Transactions

#: Reasons of dead letters that are told one by one; the rest is told as OTHER.
MOST_REASONS, OTHER = 40, "other"


def figures(tx: Transactions, most_services: int) -> dict[str, Any]:
    """Keys: oldest_running_age, dead_letter_groups, dead_letters_by_reason {reason: n}, snapshots {state: n},
    garbage_due, garbage_oldest_age, nodes {name: last seen}, services, services_without_snapshot, backed_up: at most
    `most_services` of (tenant, service, newest data, last read back or None), the oldest first. Ages are in
    milliseconds, times UTC milliseconds."""
    with tx.read() as connection:
        now = tx.now(connection)
        return {
            "oldest_running_age": _oldest_running(connection, now),
            **_dead_letters(connection),
            "snapshots": _counted(connection),
            **_garbage(connection, now),
            "nodes": _nodes(connection),
            **_backed_up(connection, most_services),
        }


def _oldest_running(connection: Connection, now: int) -> int:
    began = connection.scalar(
        select(func.min(operation.c.created_at)).where(
            operation.c.state.in_([State.RUNNING.value, State.COMPENSATING.value])
        )
    )
    return 0 if began is None else max(0, now - began)


def _dead_letters(connection: Connection) -> dict[str, Any]:
    unresolved = dead_letter.c.resolution.is_(None)
    found = connection.execute(
        select(dead_letter.c.reason, func.count()).where(unresolved).group_by(dead_letter.c.reason)
    ).all()
    by_size = sorted(((count, reason) for reason, count in found), reverse=True)
    told = {reason: count for count, reason in by_size[:MOST_REASONS]}
    if rest := sum(count for count, _ in by_size[MOST_REASONS:]):
        told[OTHER] = told.get(OTHER, 0) + rest
    groups = connection.scalar(select(func.count(dead_letter.c.fingerprint.distinct())).where(unresolved))
    return {"dead_letters_by_reason": told, "dead_letter_groups": groups}


def _counted(connection: Connection) -> dict[str, int]:
    found = connection.execute(select(snapshot.c.state, func.count().label("snapshots")).group_by(snapshot.c.state))
    return {row.state: row.snapshots for row in found}


def _garbage(connection: Connection, now: int) -> dict[str, Any]:
    """What could be removed now; what waits for readers is not late."""
    due_at = case((garbage.c.not_before > garbage.c.created_at, garbage.c.not_before), else_=garbage.c.created_at)
    count, oldest = connection.execute(select(func.count(), func.min(due_at)).where(garbage.c.not_before <= now)).one()
    return {"garbage_due": count, "garbage_oldest_age": max(0, now - oldest) if count else 0}


def _nodes(connection: Connection) -> dict[str, int]:
    """One that was drained may be silent."""
    found = connection.execute(select(node.c.node, node.c.seen_at).where(node.c.drained_at == 0))
    return {row.node: row.seen_at for row in found}


def _backed_up(connection: Connection, most: int) -> dict[str, Any]:
    """A snapshot of the configuration alone brings no data back, so it counts for nothing here."""
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
    each = select(service.c.tenant_id, service.c.service_id, newest.label("newest")).subquery()
    count, with_data = connection.execute(select(func.count(), func.count(each.c.newest))).one()
    worst = connection.execute(
        select(each).where(each.c.newest.is_not(None)).order_by(each.c.newest, each.c.service_id).limit(most)
    ).all()
    read_back = connection.execute(
        select(snapshot.c.service_id, func.max(snapshot.c.verified_at).label("verified_at"))
        .where(
            snapshot.c.service_id.in_([row.service_id for row in worst]),
            literal_column("snapshot.state <> 'deleting'"),
            snapshot.c.verified_level.in_(sorted(READ_BACK)),
        )
        .group_by(snapshot.c.service_id)
    )
    verified = {row.service_id: row.verified_at for row in read_back}
    return {
        "services": count,
        "services_without_snapshot": count - with_data,
        "backed_up": [(row.tenant_id, row.service_id, row.newest, verified.get(row.service_id)) for row in worst],
    }
