"""The tables as SQLAlchemy Core sees them: names, types and the indexes that hot queries rely on.

Apart from the migrations because those are history and this is the present; a test migrates an empty
database and compares. Portable promises: the same text on SQLite and PostgreSQL, states written as
literals in every partial index, times as UTC milliseconds, and JSON as ASCII text, which no NUL and no
lone surrogate of a foreign message can break.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

from storage.sql.columns import ForeignText, flag, key, number, partial, serial

#: The migration that this code was written for; `check_schema` compares it with the database.
SCHEMA_REVISION = "0009"
#: The oldest revision whose program works on this schema: what that program reads and writes is still there.
OLDEST_PROGRAM = "0001"
#: Which letters an identical message is counted on; an upsert must repeat the index's condition.
RAW_UNRESOLVED = "raw_digest IS NOT NULL AND resolution IS NULL"

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

service = Table(
    "service",
    metadata,
    Column("service_id", ForeignText, primary_key=True),
    Column("tenant_id", ForeignText, nullable=False),
    Column("alias", ForeignText, nullable=False),
    Column("directory", ForeignText, nullable=False),
    Column("node", ForeignText),
    Column("region", ForeignText),
    Column("generation", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),  # sealed JSON
    Column("updated_at", BigInteger, nullable=False),
    Column("group_id", ForeignText),
    Column("share_uuid", ForeignText),
    Column("retention", Text, nullable=False, server_default=""),  # JSON; empty: everything is kept
    Column("sources", Text, nullable=False, server_default=""),  # JSON list of names; empty: none
    number("rpo_seconds"),  # how old the newest good snapshot may become; 0: nobody has said
    number("rpo_since"),
    Index("service_tenant", "tenant_id", "service_id"),
    partial("service_group", "tenant_id", "group_id", where="group_id IS NOT NULL"),
)

# Apart from `service`, because a service's first operation is claimed before its row exists; rows are
# never deleted, or fences would start again.
service_fence = Table(
    "service_fence",
    metadata,
    Column("service_id", ForeignText, primary_key=True),
    Column("fence", BigInteger, nullable=False),
    # The operation that holds the service besides its own; in this row, so that claiming and reserving
    # meet in one compare-and-set.
    Column("reserved_by", ForeignText, nullable=False, server_default=""),
    partial("service_fence_reserved", "reserved_by", where="reserved_by <> ''"),
)

operation = Table(
    "operation",
    metadata,
    serial(),
    Column("op_id", ForeignText, nullable=False, unique=True),
    Column("source", ForeignText, nullable=False),
    Column("message_id", ForeignText, nullable=False),
    Column("request_hash", ForeignText, nullable=False),
    Column("kind", ForeignText, nullable=False),
    Column("version", Integer, nullable=False),
    Column("tenant_id", ForeignText, nullable=False),
    Column("service_id", ForeignText, nullable=False),
    Column("node", ForeignText, nullable=False, server_default=""),  # "" is any: NULL would defeat op_ready
    flag("local"),  # follows its service when that moves to another node
    flag("exclusive", "1"),  # reserves its service while active
    Column("state", ForeignText, nullable=False),
    Column("data", LargeBinary, nullable=False),  # sealed JSON
    Column("progress", Text),
    Column("owner", ForeignText),
    number("fence"),
    number("lease_until"),
    number("next_attempt_at"),
    number("claims_no_progress"),
    number("attempts"),
    flag("cancel_requested"),
    number("deadline_at"),
    Column("outcome", Text),
    Column("error_code", ForeignText),
    Column("error_sentence", ForeignText),  # why it waits for its next attempt
    Column("correlation_id", ForeignText),
    Column("causation_id", ForeignText),
    Column("reply_to", ForeignText),
    Column("traceparent", ForeignText),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # The lowest edition of a program that may take it, and the fence of the last claim by one that looks at this.
    Column("edition", BigInteger, nullable=False, server_default="1"),
    number("known_fence"),
    UniqueConstraint("source", "message_id"),
    CheckConstraint(
        "state IN ('QUEUED','RUNNING','COMPENSATING','STUCK','SUCCEEDED','ROLLED_BACK','FAILED','CANCELLED')",
        name="state",
    ),
    CheckConstraint("exclusive IN (0,1) AND local IN (0,1) AND cancel_requested IN (0,1)", name="flags"),
    partial(
        "op_one_active",
        "service_id",
        where="state IN ('RUNNING','COMPENSATING','STUCK') AND exclusive = 1",
        unique=True,
    ),
    # With the columns of its own condition, so that SQLite reads it alone and prefers it to op_service,
    # where it would walk through the whole history of the service.
    partial(
        "op_open",
        "service_id",
        "seq",
        "state",
        "exclusive",
        where="state IN ('QUEUED','RUNNING','COMPENSATING','STUCK') AND exclusive = 1",
    ),
    partial("op_ready", "node", "seq", where="state IN ('QUEUED','RUNNING','COMPENSATING')"),
    partial(
        "op_turn",
        "node",
        "kind",
        "tenant_id",
        "created_at",
        "seq",
        where="state IN ('QUEUED','RUNNING','COMPENSATING')",
    ),
    Index("op_service", "service_id", "seq"),
    Index("op_tenant", "tenant_id", "seq"),
    Index("op_state", "state", "kind", "created_at"),
    sqlite_autoincrement=True,
)

step = Table(
    "step",
    metadata,
    Column("op_id", ForeignText, ForeignKey("operation.op_id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("kind", ForeignText, nullable=False),
    Column("state", ForeignText, nullable=False),
    Column("request", LargeBinary, nullable=False),  # sealed JSON
    Column("reply", LargeBinary, nullable=False),  # sealed JSON
    Column("fence", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    number("began_at"),
    CheckConstraint("state IN ('PENDING','INTENT','DONE','UNDONE','IGNORED')", name="state"),
)

outbox = Table(
    "outbox",
    metadata,
    serial(),
    Column("event_id", ForeignText, nullable=False, unique=True),
    Column("op_id", ForeignText, nullable=False),  # or the dead letter of a message that was never accepted
    Column("topic", ForeignText, nullable=False),
    Column("reply_to", ForeignText),
    Column("payload", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    number("held_until"),
    Column("sent_at", BigInteger),
    UniqueConstraint("op_id", "topic"),
    partial("outbox_waiting", "seq", where="sent_at IS NULL"),
    sqlite_autoincrement=True,
)

dead_letter = Table(
    "dead_letter",
    metadata,
    serial(),
    Column("dead_letter_id", ForeignText, nullable=False, unique=True),
    Column("op_id", ForeignText),
    Column("kind", ForeignText),
    Column("subject", ForeignText),
    Column("source", ForeignText),
    Column("message_id", ForeignText),
    Column("reason", ForeignText, nullable=False),
    Column("sentence", ForeignText, nullable=False),
    Column("fingerprint", ForeignText, nullable=False),
    Column("traceback", LargeBinary, nullable=False),  # sealed text: exceptions quote values
    Column("raw", LargeBinary),  # sealed bytes
    Column("raw_digest", ForeignText),
    Column("headers", LargeBinary),  # sealed JSON
    Column("seen", BigInteger, nullable=False, server_default="1"),
    Column("created_at", BigInteger, nullable=False),
    Column("last_seen_at", BigInteger, nullable=False),
    Column("resolution", ForeignText),
    Column("resolved_by", ForeignText),
    Column("resolved_note", ForeignText),
    Column("resolved_at", BigInteger),
    Column("replay_op_id", ForeignText),
    CheckConstraint("resolution IS NULL OR resolution IN ('replayed','discarded')", name="resolution"),
    # Once resolved, the same bytes arriving again are a new letter: otherwise nobody would see them.
    partial("dead_letter_raw", "raw_digest", where=RAW_UNRESOLVED, unique=True),
    partial("dead_letter_open", "seq", where="resolution IS NULL"),
    partial("dead_letter_cause", "fingerprint", "seq", where="resolution IS NULL"),
    Index("dead_letter_op", "op_id"),
    Index("dead_letter_message", "source", "message_id"),
    sqlite_autoincrement=True,
)

snapshot = Table(
    "snapshot",
    metadata,
    Column("snapshot_id", ForeignText, primary_key=True),
    Column("tenant_id", ForeignText, nullable=False),
    Column("service_id", ForeignText, nullable=False),
    Column("state", ForeignText, nullable=False),
    Column("taken_at", BigInteger, nullable=False),
    Column("manifest_key", ForeignText, nullable=False),
    Column("root_digest", ForeignText, nullable=False),
    Column("logical_bytes", BigInteger, nullable=False),
    Column("stored_bytes", BigInteger, nullable=False),
    Column("files", BigInteger, nullable=False),
    Column("consistency", ForeignText, nullable=False),
    Column("include", Text, nullable=False),
    flag("has_data"),
    Column("parent_id", ForeignText),
    Column("skipped", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("pinned", ForeignText, nullable=False, server_default=""),  # why it must be kept
    Column("verified_at", BigInteger),
    Column("verified_level", ForeignText, nullable=False, server_default=""),
    Column("fault", ForeignText, nullable=False, server_default=""),  # what is wrong with it
    Column("edition", BigInteger, nullable=False, server_default="1"),  # of the program that has made it
    CheckConstraint("state IN ('available','corrupt','deleting')", name="state"),
    partial("snapshot_service", "service_id", "taken_at", "snapshot_id", where="state <> 'deleting'"),
    partial("snapshot_tenant", "tenant_id", "taken_at", "snapshot_id", where="state <> 'deleting'"),
    partial("snapshot_newest", "taken_at", "snapshot_id", where="state <> 'deleting'"),
)

snapshot_label = Table(
    "snapshot_label",
    metadata,
    Column("snapshot_id", ForeignText, ForeignKey("snapshot.snapshot_id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True),
    Column("name", ForeignText, nullable=False),
    Column("value", ForeignText, nullable=False),
    Column("tenant_id", ForeignText, nullable=False, server_default=""),  # these three as the snapshot has them
    Column("service_id", ForeignText, nullable=False, server_default=""),
    number("taken_at"),
    # In the order of a list: a page by label, and whether one snapshot carries it, is one search of an index.
    Index("snapshot_label_newest", "name", "value", "taken_at", "snapshot_id"),
    Index("snapshot_label_service", "service_id", "name", "value", "taken_at", "snapshot_id"),
    Index("snapshot_label_tenant", "tenant_id", "name", "value", "taken_at", "snapshot_id"),
)

pack = Table(
    "pack",
    metadata,
    key("pack_key", primary_key=True),
    Column("refs", BigInteger, nullable=False),
    Column("state", ForeignText, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('LIVE','CONDEMNED')", name="state"),
    CheckConstraint("refs >= 0 AND (refs > 0 OR state = 'CONDEMNED')", name="refs"),
)

snapshot_pack = Table(
    "snapshot_pack",
    metadata,
    Column("snapshot_id", ForeignText, ForeignKey("snapshot.snapshot_id"), primary_key=True),
    key("pack_key", primary_key=True),
)

garbage = Table(
    "garbage",
    metadata,
    key("object_key", primary_key=True),
    flag("is_prefix"),
    flag(
        "turn"
    ),  # 0 manifests, 1 packs and prefixes, 2 packs that a repack has replaced: nothing may name what is gone
    Column("created_at", BigInteger, nullable=False),
    number("not_before"),
    Index("garbage_turn", "turn", "created_at", "object_key"),
)
