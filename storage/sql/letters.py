"""Writing dead letters inside somebody else's transaction.

Apart from `dead_letters`, which is what a person does with them, because accepting and settling write
them and need nothing else of it. Raw bytes, headers and tracebacks are sealed: they quote what was sent.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy import text as text_sql

from domain.contracts import Accepted, Event, Rejected
from domain.errors import InvalidMessage
from domain.event import cloud_event, topic
from domain.identity import Subject, check_name
from domain.message import Command
from domain.operation import Operation
from domain.outcome import Outcome
from domain.tenant_sentence import ASKED_BEFORE, NOT_UNDERSTOOD
from storage.sql.ids import new_id
from storage.sql.outbox import tell
from storage.sql.sealed import Vault, to_json
from storage.sql.tables import RAW_UNRESOLVED, dead_letter
from storage.sql.transactions import Transactions

#: Stands for the tenant in the topic of an event about a message whose subject cannot be read.
NO_TENANT = "_"


def fingerprint(kind: str | None, code: str | None, sentence: str, traceback: str = "") -> str:
    """16 hex digits that are equal for letters with the same cause: kind, code and, without ids, digits
    and quoted values, the innermost frame of the traceback and its error's type, or else the sentence."""
    lines = [line.strip() for line in traceback.splitlines() if line.strip()]
    frames = [line for line in lines if line.startswith("File ")]
    cause = frames[-1] + lines[-1].split(":")[0] if frames else sentence
    cause = re.sub(r"\"(?:[^\"]*/)?([^\"/]*)\", line \d+", r"\1", cause)
    cause = re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}|'[^']*'|\d+", "#", cause)
    whole = f"{kind}|{code}|{cause}".encode("utf-8", "backslashreplace")
    return hashlib.sha256(whole).hexdigest()[:16]


def keep_operation(
    tx: Transactions, connection: Connection, vault: Vault, operation: Operation, outcome: Outcome, now: int
) -> str:
    """The letter of an operation that FAILED or is STUCK; its id."""
    letter_id, _ = _keep(
        tx,
        connection,
        vault,
        op_id=operation.op_id,
        kind=operation.kind,
        subject=f"tenant/{operation.tenant_id}/service/{operation.service_id}",
        source=operation.source,
        message_id=operation.message_id,
        reason=outcome.code or outcome.event_name(),
        sentence=outcome.sentence,
        fingerprint=fingerprint(operation.kind, outcome.code, outcome.sentence, outcome.traceback),
        traceback=outcome.traceback,
        now=now,
    )
    return letter_id


def keep_rejected(tx: Transactions, connection: Connection, vault: Vault, item: Rejected, now: int) -> str:
    """The letter of a message that cannot become an operation; the publisher is told, once, if possible."""
    cause = fingerprint(item.kind, item.reason, item.sentence)
    found_by = replace(item, digest=_digest_of(connection, item))
    return _keep_refused(tx, connection, vault, found_by, cause, now)


def keep_reused(tx: Transactions, connection: Connection, vault: Vault, item: Accepted, first: str, now: int) -> str:
    """The letter of a command under a key that the operation `first` already has with other content; its publisher is
    told, once. What `first` comes to is told as if this had never been sent."""
    command = item.command
    key = to_json([command.source, command.message_id, item.request_hash])
    sentence = (
        f"message {command.message_id} of {command.source} was accepted before, as operation {first}, "
        "with other content; publish the new content under a new id"
    )
    refused = Rejected(
        raw=_as_message(command),
        reason="key-reused",
        sentence=sentence,
        source=command.source,
        message_id=command.message_id,
        kind=command.kind,
        subject=str(command.subject),
        reply_to=command.reply_to,
        digest=hashlib.sha256(key.encode("ascii")).hexdigest(),
    )
    cause = fingerprint(command.kind, refused.reason, command.source)
    return _keep_refused(tx, connection, vault, refused, cause, now)


def _keep_refused(tx: Transactions, connection: Connection, vault: Vault, item: Rejected, cause: str, now: int) -> str:
    letter_id, seen = _keep(
        tx,
        connection,
        vault,
        kind=item.kind,
        subject=item.subject,
        source=item.source,
        message_id=item.message_id,
        reason=item.reason,
        sentence=item.sentence,
        fingerprint=cause,
        raw=item.raw,
        raw_digest=item.digest,
        headers={name: str(value) for name, value in item.headers.items()},
        now=now,
    )
    if seen == 1:
        _tell_publisher(connection, item, letter_id, now)
    return letter_id


def _digest_of(connection: Connection, item: Rejected) -> str:
    """What the letter is found by. Release 0.1 took the bytes alone: its letter about the same message is the one to
    count, and that about another message with the same bytes is not."""
    bytes_alone = hashlib.sha256(item.raw).hexdigest()
    if item.digest in ("", bytes_alone):
        return bytes_alone
    if not (item.source and item.message_id):
        return item.digest
    same = (
        dead_letter.c.raw_digest == bytes_alone,
        dead_letter.c.resolution.is_(None),
        dead_letter.c.source == item.source,
        dead_letter.c.message_id == item.message_id,
        dead_letter.c.kind == item.kind,
        dead_letter.c.subject == item.subject,
    )
    found = connection.scalar(select(dead_letter.c.seq).where(*same).limit(1))
    return item.digest if found is None else bytes_alone


def _keep(
    tx: Transactions,
    connection: Connection,
    vault: Vault,
    *,
    now: int,
    traceback: str = "",
    raw: bytes | None = None,
    headers: dict[str, str] | None = None,
    **columns: Any,
) -> tuple[str, int]:
    """Insert the letter, or count an unresolved one of the same bytes once more; its id, and how often seen."""
    letter_id = new_id()
    text = traceback.encode("utf-8", "backslashreplace")
    statement = tx.insert(dead_letter).values(
        dead_letter_id=letter_id,
        traceback=vault.close_bytes(text, "dead_letter.traceback", letter_id),
        raw=None if raw is None else vault.close_bytes(raw, "dead_letter.raw", letter_id),
        headers=None if headers is None else vault.close_json(headers, "dead_letter.headers", letter_id),
        created_at=now,
        last_seen_at=now,
        **columns,
    )
    counted = statement.on_conflict_do_update(
        index_elements=[dead_letter.c.raw_digest],
        index_where=text_sql(RAW_UNRESOLVED),
        set_={"seen": dead_letter.c.seen + 1, "last_seen_at": now},
    )
    row = connection.execute(counted.returning(dead_letter.c.dead_letter_id, dead_letter.c.seen)).one()
    return row.dead_letter_id, row.seen


def _tell_publisher(connection: Connection, item: Rejected, letter_id: str, now: int) -> None:
    """An outcome event for a message that named itself well enough to be answered."""
    if not (item.kind and item.source and item.message_id):
        return
    try:
        kind = check_name(item.kind, "type")
    except InvalidMessage:
        return
    try:
        tenant = Subject.parse(item.subject or "").tenant_id
    except InvalidMessage:
        tenant = NO_TENANT
    event_id = new_id()
    data = {
        "operation_id": None,
        "dead_letter_id": letter_id,
        "command_id": item.message_id,
        "command_source": item.source,
        "outcome": "failed",
        "code": item.reason,
        "sentence": item.sentence,
        "tenant_sentence": ASKED_BEFORE if item.reason == "key-reused" else NOT_UNDERSTOOD,
    }
    payload = cloud_event(event_id, f"{kind}.failed", item.subject or "", now, data, causationid=item.message_id)
    tell(connection, Event(event_id, letter_id, topic(kind, "failed", tenant), item.reply_to, payload), now)


def _as_message(command: Command) -> bytes:
    """The command as a structured CloudEvent, so that it can be decoded and replayed like any other."""
    message = {
        "specversion": "1.0",
        "id": command.message_id,
        "source": command.source,
        "type": f"backstay.{command.kind}.v{command.version}",
        "subject": str(command.subject),
        "time": command.time,
        "datacontenttype": "application/json",
        "correlationid": command.correlation_id,
        "causationid": command.causation_id,
        "replyto": command.reply_to,
        "traceparent": command.traceparent,
        "data": command.data,
    }
    return to_json({name: value for name, value in message.items() if value is not None}).encode("ascii")
