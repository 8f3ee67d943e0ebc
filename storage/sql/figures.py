"""Figures of the whole installation for metrics: what is open, how old it is, which nodes are there.

Apart from the questions that people ask because a scrape repeats these every few seconds: each is one walk over an
index or over few rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, case, func, select

from domain.operation import State
from storage.sql.changes import REPLACED_TURN
from storage.sql.copies import free
from storage.sql.node_tables import node
from storage.sql.standing import standing
from storage.sql.tables import dead_letter, garbage, operation, snapshot
from storage.sql.transactions import Transactions

#: Reasons of dead letters that are told one by one; the rest is told as OTHER.
MOST_REASONS, OTHER = 40, "other"


def figures(tx: Transactions, most_services: int, replicas: Sequence[str]) -> dict[str, Any]:
    """Keys: oldest_running_age, dead_letter_groups, dead_letters_by_reason {reason: n}, snapshots {state: n},
    garbage_due, garbage_oldest_age, nodes {name: last seen}, and those of `standing`. Ages are in milliseconds, times
    UTC milliseconds."""
    with tx.read() as connection:
        now = tx.now(connection)
        return {
            "oldest_running_age": _oldest_running(connection, now),
            **_dead_letters(connection),
            "snapshots": _counted(connection),
            **_garbage(connection, replicas, now),
            "nodes": _nodes(connection),
            **standing(connection, most_services, now),
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


def _garbage(connection: Connection, replicas: Sequence[str], now: int) -> dict[str, Any]:
    """What could be removed now; what waits for readers is not late, nor what waits for replicas: these are
    asked about only while packs that a repack has replaced are due."""
    due_at = case((garbage.c.not_before > garbage.c.created_at, garbage.c.not_before), else_=garbage.c.created_at)
    due = garbage.c.not_before <= now
    count, oldest = connection.execute(
        select(func.count(), func.min(due_at)).where(due, garbage.c.turn < REPLACED_TURN)
    ).one()
    rows = connection.execute(select(garbage).where(due, garbage.c.turn == REPLACED_TURN)).all()
    replaced = free(connection, rows, replicas)
    times = [max(row.not_before, row.created_at) for row in replaced] + ([oldest] if count else [])
    return {
        "garbage_due": count + len(replaced),
        "garbage_oldest_age": max(0, now - min(times)) if times else 0,
    }


def _nodes(connection: Connection) -> dict[str, int]:
    """One that was drained may be silent."""
    found = connection.execute(select(node.c.node, node.c.seen_at).where(node.c.drained_at == 0))
    return {row.node: row.seen_at for row in found}
