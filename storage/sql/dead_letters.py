"""What a person does with what needs one: look, replay once, discard once.

Apart from `letters`, which writes them inside other transactions. Each resolution is a compare-and-set on
`resolution IS NULL` in the same transaction as the operation it makes, so a second click, or a second
operator, changes nothing. Nothing expires.
"""

from __future__ import annotations

import builtins
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from domain.audit import Actor
from domain.contracts import Accepted, DeadLetter
from domain.errors import Refused
from domain.identity import tenant_named
from domain.letters import LetterFilter
from domain.operation import State
from storage.sql import audit
from storage.sql.ids import new_id
from storage.sql.inbox import service_nodes
from storage.sql.letter_questions import narrowed
from storage.sql.replays import took_turn
from storage.sql.rows import new_operation
from storage.sql.sealed import Vault
from storage.sql.tables import dead_letter, operation
from storage.sql.transactions import Transactions

#: What a replayed operation takes over from the one that failed.
INHERITED = (
    "source", "request_hash", "kind", "version", "tenant_id", "service_id", "node", "local", "exclusive",
    "correlation_id", "reply_to", "traceparent",
)  # fmt: skip


#: What the audit trail calls the act that led to a resolution.
ACTS = {"replayed": "replay", "discarded": "discard", "edited": "edit"}
RESOLUTIONS = {"replayed": "replayed", "discarded": "discarded", "edited": "replayed"}
#: A letter's place in a replay of many: its id, and the line of its list.
Part = tuple[str, int]
EVERY = LetterFilter()


def _still_stuck(failed: Row[Any]) -> Refused:
    return Refused(
        f"operation {failed.op_id} is STUCK and reserves service {failed.service_id}; "
        "a replay would wait behind it for ever",
        code="still-stuck",
        next_step="put the service right and resolve the operation first",
    )


def _take_turn(connection: Connection, part_of: Part | None, op_id: str) -> None:
    if part_of is not None and not took_turn(connection, *part_of, op_id):
        raise Refused(f"replay {part_of[0]} has stopped, or this letter had its turn", code="replay-stopped")


class SqlDeadLetters:
    """The port `DeadLetters`."""

    def __init__(self, transactions: Transactions, vault: Vault) -> None:
        self._tx, self._vault = transactions, vault

    def list(self, *, resolved: bool, limit: int, before: str | None, wanted: LetterFilter = EVERY) -> list[DeadLetter]:
        """Newest first; unresolved only unless `resolved`. Raw bytes and headers stay closed."""
        found = narrowed(select(dead_letter), wanted).order_by(dead_letter.c.seq.desc()).limit(limit)
        if not resolved:
            found = found.where(dead_letter.c.resolution.is_(None))
        if before is not None:
            last = dead_letter.alias("last")
            found = found.where(
                dead_letter.c.seq < select(last.c.seq).where(last.c.dead_letter_id == before).scalar_subquery()
            )
        with self._tx.read() as connection:
            return [self._letter(row, whole=False) for row in connection.execute(found)]

    def get(self, dead_letter_id: str) -> DeadLetter | None:
        """One, with its traceback, raw bytes and headers."""
        with self._tx.read() as connection:
            row = connection.execute(select(dead_letter).where(dead_letter.c.dead_letter_id == dead_letter_id)).first()
        return None if row is None else self._letter(row, whole=True)

    def about(self, source: str, message_id: str) -> builtins.list[DeadLetter]:
        """Letters about messages with that key, newest first, closed."""
        with self._tx.read() as connection:
            rows = connection.execute(
                select(dead_letter)
                .where(dead_letter.c.source == source, dead_letter.c.message_id == message_id)
                .order_by(dead_letter.c.seq.desc())
            )
            return [self._letter(row, whole=False) for row in rows]

    def replay_operation(self, dead_letter_id: str, by: Actor, part_of: Part | None = None) -> str | None:
        """A new operation with the failed one's command, without its deadline; its id. None when the letter
        was resolved already or is not about an operation. Refused while the operation is STUCK, and when it is
        `part_of` a replay that has stopped."""
        op_id = new_id()
        with self._tx.write("replay-operation") as connection:
            now = self._tx.now(connection)
            letter = self._resolve(
                connection, dead_letter_id, "replayed", by, now, dead_letter.c.op_id.is_not(None), replay_op_id=op_id
            )
            if letter is None:
                return None
            failed = connection.execute(select(operation).where(operation.c.op_id == letter.op_id)).one()
            if failed.state == State.STUCK.value:
                raise _still_stuck(failed)
            _take_turn(connection, part_of, op_id)
            values = {name: getattr(failed, name) for name in INHERITED} | {
                "op_id": op_id,
                "state": State.QUEUED.value,
                "data": self._vault.close_json(
                    self._vault.open_json(failed.data, "operation.data", failed.op_id), "operation.data", op_id
                ),
                "causation_id": failed.op_id,
                "created_at": now,
                "updated_at": now,
            }
            self._queue(connection, values, failed.message_id, 1)
            self._tx.ring(connection)
        return op_id

    def replay_message(self, dead_letter_id: str, by: Actor, item: Accepted, part_of: Part | None = None) -> str | None:
        """An operation from a raw message that decodes by now; its id. None when it was resolved already.

        It keeps the message's own id unless an operation has that; then it gets the suffix .r1, .r2, …
        """
        op_id = new_id()
        with self._tx.write("replay-message") as connection:
            now = self._tx.now(connection)
            raw_only = dead_letter.c.op_id.is_(None)
            letter = self._resolve(connection, dead_letter_id, "replayed", by, now, raw_only, replay_op_id=op_id)
            if letter is None:
                return None
            values = new_operation(item, op_id, now, self._vault) | {"causation_id": dead_letter_id}
            _take_turn(connection, part_of, op_id)
            self._queue(connection, values, item.command.message_id, 0)
            self._tx.ring(connection)
        return op_id

    def replay_edited(self, dead_letter_id: str, by: Actor, item: Accepted, note: str) -> str | None:
        """An operation from what a person made of the message; its id. The letter keeps the original. None when it
        was resolved already; Refused while its operation is STUCK."""
        op_id = new_id()
        with self._tx.write("replay-edited") as connection:
            now = self._tx.now(connection)
            letter = self._resolve(
                connection, dead_letter_id, "edited", by, now, replay_op_id=op_id, resolved_note=f"edited: {note}"
            )
            if letter is None:
                return None
            if letter.op_id is not None:
                failed = connection.execute(select(operation).where(operation.c.op_id == letter.op_id)).one()
                if failed.state == State.STUCK.value:
                    raise _still_stuck(failed)
            values = new_operation(item, op_id, now, self._vault) | {"causation_id": letter.op_id or dead_letter_id}
            self._queue(connection, values, item.command.message_id, 1, "e")
            self._tx.ring(connection)
        return op_id

    def payload(self, op_id: str) -> dict[str, Any]:
        """The data of an operation's command, opened: it may hold secrets."""
        with self._tx.read() as connection:
            row = connection.execute(select(operation.c.data).where(operation.c.op_id == op_id)).one()
        found = self._vault.open_json(row.data, "operation.data", op_id)
        assert isinstance(found, dict)
        return found

    def discard(self, dead_letter_id: str, by: Actor, note: str) -> bool:
        """Resolve without replaying; False when it had been resolved already."""
        with self._tx.write("discard") as connection:
            now = self._tx.now(connection)
            return self._resolve(connection, dead_letter_id, "discarded", by, now, resolved_note=note) is not None

    def _resolve(
        self,
        connection: Connection,
        dead_letter_id: str,
        resolution: str,
        by: Actor,
        now: int,
        *conditions: ColumnElement[bool],
        **more: str,
    ) -> Row[Any] | None:
        """Compare-and-set, with its entry in the audit trail; None, and nothing written, if it was resolved before or
        a condition fails."""
        found = connection.execute(
            update(dead_letter)
            .where(dead_letter.c.dead_letter_id == dead_letter_id, dead_letter.c.resolution.is_(None), *conditions)
            .values(resolution=RESOLUTIONS[resolution], resolved_by=by.name, resolved_at=now, **more)
            .returning(dead_letter.c.op_id, dead_letter.c.subject)
        ).first()
        if found is not None:
            detail = {"operation_id": found.op_id, "replay_operation_id": more.get("replay_op_id")}
            entry = by.entry(
                f"dead-letter.{ACTS[resolution]}",
                f"dead-letter/{dead_letter_id}",
                tenant_id=tenant_named(found.subject) or "",
                reason=more.get("resolved_note", ""),
                detail={name: value for name, value in detail.items() if value},
            )
            audit.write(connection, entry, now)
        return found

    def _queue(
        self, connection: Connection, values: dict[str, Any], message_id: str, replay: int, mark: str = "r"
    ) -> None:
        """Insert under the first free message id, at the node where the service is by now."""
        if values["local"]:
            values["node"] = service_nodes(connection, {values["service_id"]}).get(values["service_id"]) or ""
        statement = self._tx.insert(operation).on_conflict_do_nothing().returning(operation.c.seq)
        while True:
            name = f"{message_id}.{mark}{replay}" if replay else message_id
            if connection.execute(statement, values | {"message_id": name}).first() is not None:
                return
            replay += 1

    def _letter(self, row: Row[Any], *, whole: bool) -> DeadLetter:
        def opened(name: str) -> bytes | None:
            sealed = getattr(row, name)
            if not whole or sealed is None:
                return None
            return self._vault.open_bytes(sealed, f"dead_letter.{name}", row.dead_letter_id)

        headers = {}
        if whole and row.headers is not None:
            headers = self._vault.open_json(row.headers, "dead_letter.headers", row.dead_letter_id)
        return DeadLetter(
            dead_letter_id=row.dead_letter_id,
            op_id=row.op_id,
            kind=row.kind,
            subject=row.subject,
            source=row.source,
            message_id=row.message_id,
            reason=row.reason,
            sentence=row.sentence,
            fingerprint=row.fingerprint,
            traceback=(opened("traceback") or b"").decode("utf-8"),
            seen=row.seen,
            created_at=row.created_at,
            resolution=row.resolution,
            resolved_by=row.resolved_by,
            resolved_note=row.resolved_note,
            replay_op_id=row.replay_op_id,
            raw=opened("raw"),
            headers=headers,
            seq=row.seq,
        )
