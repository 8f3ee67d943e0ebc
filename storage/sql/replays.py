"""Replays of many dead letters as SQL: the frozen list, and whose turn it is.

Apart from the letters because nothing here resolves one: that is done letter by letter, in one transaction with
the operation and the line of the list.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, exists, insert, select, tuple_, update

from domain.audit import Actor
from domain.operation import State
from domain.replay import ItemState, Replay, ReplayItem, ReplayState, Turn, turn
from storage.sql import audit
from storage.sql.ids import new_id
from storage.sql.letter_tables import replay, replay_item
from storage.sql.tables import operation
from storage.sql.transactions import Transactions

#: Rows of one INSERT.
BATCH = 500


class SqlReplays:
    """The port `Replays`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def create(
        self,
        by: Actor,
        dead_letter_ids: Sequence[str],
        *,
        canary: int,
        per_minute: int,
        reason: str,
        selection: Mapping[str, Any],
    ) -> Replay:
        """Freeze the list."""
        replay_id = new_id()
        rows = [
            {"replay_id": replay_id, "ordinal": number, "dead_letter_id": name, "state": ItemState.WAITING.value}
            for number, name in enumerate(dead_letter_ids)
        ]
        with self._tx.write("replay-create") as connection:
            now = self._tx.now(connection)
            made = connection.execute(
                insert(replay)
                .values(
                    replay_id=replay_id,
                    state=ReplayState.RUNNING.value,
                    actor=by.name,
                    way=by.way,
                    reason=reason,
                    canary=canary,
                    per_minute=per_minute,
                    why="",
                    created_at=now,
                )
                .returning(replay)
            ).one()
            for start in range(0, len(rows), BATCH):
                connection.execute(insert(replay_item), rows[start : start + BATCH])
            detail = {**selection, "letters": len(rows), "canary": canary, "per_minute": per_minute}
            audit.write(connection, by.entry("replay.create", f"replay/{replay_id}", reason=reason, detail=detail), now)
        return _replay(made)

    def get(self, replay_id: str) -> Replay | None:
        """One of them."""
        with self._tx.read() as connection:
            row = connection.execute(select(replay).where(replay.c.replay_id == replay_id)).first()
        return None if row is None else _replay(row)

    def items(self, replay_id: str) -> builtins.list[ReplayItem]:
        """Its letters."""
        with self._tx.read() as connection:
            return _items(connection, replay_id)

    def list(self, limit: int, before: str | None = None, by: Sequence[Actor] | None = None) -> builtins.list[Replay]:
        """Newest first."""
        wanted = select(replay).order_by(replay.c.seq.desc()).limit(limit)
        if before is not None:
            last = replay.alias("last")
            wanted = wanted.where(replay.c.seq < select(last.c.seq).where(last.c.replay_id == before).scalar_subquery())
        if by is not None:
            wanted = wanted.where(tuple_(replay.c.actor, replay.c.way).in_([(one.name, one.way) for one in by]))
        with self._tx.read() as connection:
            return [_replay(row) for row in connection.execute(wanted)]

    def running(self) -> builtins.list[str]:
        """What is to be carried on."""
        going = select(replay.c.replay_id).where(replay.c.state == ReplayState.RUNNING.value).order_by(replay.c.seq)
        with self._tx.read() as connection:
            return builtins.list(connection.scalars(going))

    def due(self, replay_id: str) -> builtins.list[ReplayItem]:
        """Whose turn it is."""
        with self._tx.read() as connection:
            found, step = self._turn(connection, replay_id, locked=False)
        if found is None or (step.state is ReplayState.RUNNING and step.rest_from == found.rest_from):
            return builtins.list(step.due)
        with self._tx.write("replay-turn") as connection:
            found, step = self._turn(connection, replay_id, locked=True)
            if found is None:
                return []
            ended = 0 if step.state is ReplayState.RUNNING else self._tx.now(connection)
            connection.execute(
                update(replay)
                .where(replay.c.replay_id == replay_id)
                .values(state=step.state.value, why=step.why, rest_from=step.rest_from, ended_at=ended)
            )
        return builtins.list(step.due)

    def _turn(self, connection: Connection, replay_id: str, *, locked: bool) -> tuple[Replay | None, Turn]:
        wanted = select(replay).where(replay.c.replay_id == replay_id, replay.c.state == ReplayState.RUNNING.value)
        row = connection.execute(wanted.with_for_update() if locked else wanted).first()
        if row is None:
            return None, Turn()
        found = _replay(row)
        return found, turn(found, _items(connection, replay_id), self._tx.now(connection))

    def skip(self, replay_id: str, ordinal: int, why: str) -> None:
        """Leave one out."""
        with self._tx.write("replay-skip") as connection:
            connection.execute(
                update(replay_item)
                .where(
                    replay_item.c.replay_id == replay_id,
                    replay_item.c.ordinal == ordinal,
                    replay_item.c.state == ItemState.WAITING.value,
                )
                .values(state=ItemState.SKIPPED.value, why=why)
            )

    def stop(self, replay_id: str, by: Actor, reason: str) -> bool:
        """What waits stays a dead letter."""
        with self._tx.write("replay-stop") as connection:
            now = self._tx.now(connection)
            stopped = connection.execute(
                update(replay)
                .where(replay.c.replay_id == replay_id, replay.c.state == ReplayState.RUNNING.value)
                .values(state=ReplayState.STOPPED.value, why=f"{by.name} stopped it: {reason}", ended_at=now)
            ).rowcount
            if stopped:
                audit.write(connection, by.entry("replay.stop", f"replay/{replay_id}", reason=reason), now)
        return bool(stopped)


def took_turn(connection: Connection, replay_id: str, ordinal: int, op_id: str) -> bool:
    """The letter's line of a running replay became that operation; False when it may not any more. For the
    transaction that resolves the letter."""
    running = exists().where(replay.c.replay_id == replay_item.c.replay_id, replay.c.state == ReplayState.RUNNING.value)
    return bool(
        connection.execute(
            update(replay_item)
            .where(
                replay_item.c.replay_id == replay_id,
                replay_item.c.ordinal == ordinal,
                replay_item.c.state == ItemState.WAITING.value,
                running,
            )
            .values(state=ItemState.REPLAYED.value, op_id=op_id)
        ).rowcount
    )


def _items(connection: Connection, replay_id: str) -> builtins.list[ReplayItem]:
    rows = connection.execute(
        select(replay_item, operation.c.state.label("op_state"))
        .outerjoin(operation, operation.c.op_id == replay_item.c.op_id)
        .where(replay_item.c.replay_id == replay_id)
        .order_by(replay_item.c.ordinal)
    )
    return [
        ReplayItem(
            ordinal=row.ordinal,
            dead_letter_id=row.dead_letter_id,
            state=ItemState(row.state),
            why=row.why,
            op_id=row.op_id,
            op_state=None if row.op_state is None else State(row.op_state),
        )
        for row in rows
    ]


def _replay(row: Row[Any]) -> Replay:
    return Replay(
        replay_id=row.replay_id,
        state=ReplayState(row.state),
        actor=row.actor,
        way=row.way,
        reason=row.reason,
        canary=row.canary,
        per_minute=row.per_minute,
        why=row.why,
        created_at=row.created_at,
        rest_from=row.rest_from,
        ended_at=row.ended_at,
    )
