"""What people ask about dead letters: groups by cause, which match a filter, and what is known about each.

Apart from `dead_letters` because nothing here changes or opens one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from domain.errors import InvalidMessage
from domain.identity import Subject
from domain.letters import Candidate, Facts, LetterFilter, LetterGroup
from domain.operation import State
from storage.sql.newer_commands import After, NewerCommands
from storage.sql.tables import dead_letter, operation
from storage.sql.transactions import Transactions

#: Ids in one statement: below every database's limit of parameters.
BATCH = 500


class LetterQuestions:
    """The port `LetterQuestions`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def groups(self, wanted: LetterFilter) -> list[LetterGroup]:
        """By cause, the one with most letters first."""
        found = narrowed(
            select(
                dead_letter.c.fingerprint,
                func.count().label("letters"),
                func.count(dead_letter.c.subject.distinct()).label("services"),
                func.sum(dead_letter.c.seen).label("seen"),
                func.min(dead_letter.c.created_at).label("first_at"),
                func.max(dead_letter.c.last_seen_at).label("last_at"),
                func.max(dead_letter.c.seq).label("newest"),
            ),
            wanted,
        )
        grouped = found.where(dead_letter.c.resolution.is_(None)).group_by(dead_letter.c.fingerprint).subquery()
        rows = (
            select(
                grouped, dead_letter.c.dead_letter_id, dead_letter.c.kind, dead_letter.c.reason, dead_letter.c.sentence
            )
            .join(dead_letter, dead_letter.c.seq == grouped.c.newest)
            .order_by(grouped.c.letters.desc(), grouped.c.newest.desc())
        )
        with self._tx.read() as connection:
            return [_group(row) for row in connection.execute(rows)]

    def candidates(self, wanted: LetterFilter, limit: int, among: Sequence[str] | None = None) -> list[Candidate]:
        """Those that match, oldest first."""
        found = narrowed(select(dead_letter.c.dead_letter_id, dead_letter.c.fingerprint, dead_letter.c.subject), wanted)
        if among is not None:
            found = found.where(dead_letter.c.dead_letter_id.in_(list(among)))
        found = found.where(dead_letter.c.resolution.is_(None)).order_by(dead_letter.c.seq).limit(limit)
        with self._tx.read() as connection:
            return [Candidate(*row) for row in connection.execute(found)]

    def facts(self, dead_letter_ids: Sequence[str], hashes: Mapping[str, str]) -> list[Facts]:
        """What is known about each of them."""
        with self._tx.read() as connection:
            rows = [row for some in _batches(dead_letter_ids) for row in _with_operations(connection, some)]
            asks = {
                row.dead_letter_id: row.request_hash if row.op_id else hashes.get(row.dead_letter_id) for row in rows
            }
            wanted = {asked for asked in asks.values() if asked is not None}
            commands = NewerCommands(connection, [_after(row) for row in rows], wanted)
        known = {row.dead_letter_id: _facts(row, commands, asks[row.dead_letter_id]) for row in rows}
        return [known[name] for name in dead_letter_ids if name in known]


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


def narrowed(statement: Select[Any], wanted: LetterFilter) -> Select[Any]:
    """With the filter's conditions."""
    for column, value in (
        (dead_letter.c.fingerprint, wanted.fingerprint),
        (dead_letter.c.reason, wanted.reason),
        (dead_letter.c.kind, wanted.kind),
    ):
        if value is not None:
            statement = statement.where(column == value)
    if wanted.tenant_id is not None:
        mine = f"tenant/{wanted.tenant_id}/"  # as `tenant_named` reads it; LIKE takes SQLite's letters for equal
        statement = statement.where(func.substr(dead_letter.c.subject, 1, len(mine)) == mine)
    if wanted.service_id is not None:
        statement = statement.where(dead_letter.c.subject.endswith(f"/service/{wanted.service_id}", autoescape=True))
    return statement


def _with_operations(connection: Connection, ids: Sequence[str]) -> list[Row[Any]]:
    return list(
        connection.execute(
            select(
                dead_letter.c.dead_letter_id,
                dead_letter.c.kind,
                dead_letter.c.reason,
                dead_letter.c.subject,
                dead_letter.c.op_id,
                dead_letter.c.created_at,
                operation.c.state,
                operation.c.seq,
                operation.c.request_hash,
            )
            .outerjoin(operation, operation.c.op_id == dead_letter.c.op_id)
            .where(dead_letter.c.dead_letter_id.in_(ids), dead_letter.c.resolution.is_(None))
        )
    )


def _facts(row: Row[Any], commands: NewerCommands, asks: str | None) -> Facts:
    return Facts(
        dead_letter_id=row.dead_letter_id,
        kind=row.kind,
        reason=row.reason,
        service_id=_service(row),
        op_id=row.op_id,
        op_state=None if row.state is None else State(row.state),
        newer=commands.after(_after(row), asks),
    )


def _after(row: Row[Any]) -> After:
    return After(_service(row), row.seq, row.created_at)


def _service(row: Row[Any]) -> str:
    try:
        return Subject.parse(row.subject or "").service_id
    except InvalidMessage:
        return ""


def _group(row: Row[Any]) -> LetterGroup:
    return LetterGroup(
        fingerprint=row.fingerprint,
        kind=row.kind,
        reason=row.reason,
        letters=row.letters,
        services=row.services,
        seen=int(row.seen),  # a sum of bigint is a Decimal on PostgreSQL, which is no JSON
        first_at=row.first_at,
        last_at=row.last_at,
        sentence=row.sentence,
        newest_id=row.dead_letter_id,
    )
