"""The spine: services, operations with their journal, events, dead letters, snapshots, packs, nodes.

Revision 0001, the first. Plain SQL, the same text for both databases but for three type names, because
people read it when something is wrong. The triggers hold the two rules that no program, old or new, may
break: an operation that has ended stays ended, and a fence never goes back.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TYPES = {
    "sqlite": {"serial": "INTEGER PRIMARY KEY AUTOINCREMENT", "bytes": "BLOB", "key": "TEXT"},
    "postgresql": {
        "serial": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "bytes": "BYTEA",
        "key": 'TEXT COLLATE "C"',
    },
}

TABLES = """
CREATE TABLE service (
    service_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    alias TEXT NOT NULL,
    directory TEXT NOT NULL,
    node TEXT,
    region TEXT,
    generation BIGINT NOT NULL,
    document {bytes} NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_service PRIMARY KEY (service_id)
);

CREATE INDEX service_tenant ON service (tenant_id, service_id);

CREATE TABLE service_fence (
    service_id TEXT NOT NULL,
    fence BIGINT NOT NULL,
    CONSTRAINT pk_service_fence PRIMARY KEY (service_id)
);

CREATE TABLE operation (
    seq {serial},
    op_id TEXT NOT NULL,
    source TEXT NOT NULL,
    message_id TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,
    tenant_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    node TEXT NOT NULL DEFAULT '',
    local SMALLINT NOT NULL DEFAULT 0,
    exclusive SMALLINT NOT NULL DEFAULT 1,
    state TEXT NOT NULL,
    data {bytes} NOT NULL,
    progress TEXT,
    owner TEXT,
    fence BIGINT NOT NULL DEFAULT 0,
    lease_until BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL DEFAULT 0,
    claims_no_progress BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    cancel_requested SMALLINT NOT NULL DEFAULT 0,
    deadline_at BIGINT NOT NULL DEFAULT 0,
    outcome TEXT,
    error_code TEXT,
    error_sentence TEXT,
    correlation_id TEXT,
    causation_id TEXT,
    reply_to TEXT,
    traceparent TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT uq_operation_source UNIQUE (source, message_id),
    CONSTRAINT ck_operation_state CHECK (state IN (
        'QUEUED','RUNNING','COMPENSATING','STUCK','SUCCEEDED','ROLLED_BACK','FAILED','CANCELLED')),
    CONSTRAINT ck_operation_flags CHECK (exclusive IN (0,1) AND local IN (0,1) AND cancel_requested IN (0,1)),
    CONSTRAINT uq_operation_op_id UNIQUE (op_id)
);

CREATE UNIQUE INDEX op_one_active ON operation (service_id)
    WHERE state IN ('RUNNING','COMPENSATING','STUCK') AND exclusive = 1;

CREATE INDEX op_open ON operation (service_id, seq, state, exclusive)
    WHERE state IN ('QUEUED','RUNNING','COMPENSATING','STUCK') AND exclusive = 1;

CREATE INDEX op_ready ON operation (node, seq)
    WHERE state IN ('QUEUED','RUNNING','COMPENSATING');

CREATE INDEX op_service ON operation (service_id, seq);

CREATE INDEX op_state ON operation (state, kind, created_at);

CREATE INDEX op_tenant ON operation (tenant_id, seq);

CREATE TABLE step (
    op_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    request {bytes} NOT NULL,
    reply {bytes} NOT NULL,
    fence BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_step PRIMARY KEY (op_id, ordinal),
    CONSTRAINT ck_step_state CHECK (state IN ('PENDING','INTENT','DONE','UNDONE','IGNORED')),
    CONSTRAINT fk_step_op_id FOREIGN KEY (op_id) REFERENCES operation (op_id)
);

CREATE TABLE outbox (
    seq {serial},
    event_id TEXT NOT NULL,
    op_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    reply_to TEXT,
    payload TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    held_until BIGINT NOT NULL DEFAULT 0,
    sent_at BIGINT,
    CONSTRAINT uq_outbox_op_id UNIQUE (op_id, topic),
    CONSTRAINT uq_outbox_event_id UNIQUE (event_id)
);

CREATE INDEX outbox_waiting ON outbox (seq)
    WHERE sent_at IS NULL;

CREATE TABLE dead_letter (
    seq {serial},
    dead_letter_id TEXT NOT NULL,
    op_id TEXT,
    kind TEXT,
    subject TEXT,
    source TEXT,
    message_id TEXT,
    reason TEXT NOT NULL,
    sentence TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    traceback {bytes} NOT NULL,
    raw {bytes},
    raw_digest TEXT,
    headers {bytes},
    seen BIGINT NOT NULL DEFAULT 1,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    resolution TEXT,
    resolved_by TEXT,
    resolved_note TEXT,
    resolved_at BIGINT,
    replay_op_id TEXT,
    CONSTRAINT ck_dead_letter_resolution CHECK (resolution IS NULL OR resolution IN ('replayed','discarded')),
    CONSTRAINT uq_dead_letter_dead_letter_id UNIQUE (dead_letter_id)
);

CREATE INDEX dead_letter_message ON dead_letter (source, message_id);

CREATE INDEX dead_letter_op ON dead_letter (op_id);

CREATE INDEX dead_letter_open ON dead_letter (seq)
    WHERE resolution IS NULL;

CREATE UNIQUE INDEX dead_letter_raw ON dead_letter (raw_digest)
    WHERE raw_digest IS NOT NULL AND resolution IS NULL;

CREATE TABLE snapshot (
    snapshot_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    state TEXT NOT NULL,
    taken_at BIGINT NOT NULL,
    manifest_key TEXT NOT NULL,
    root_digest TEXT NOT NULL,
    logical_bytes BIGINT NOT NULL,
    stored_bytes BIGINT NOT NULL,
    files BIGINT NOT NULL,
    consistency TEXT NOT NULL,
    include TEXT NOT NULL,
    has_data SMALLINT NOT NULL DEFAULT 0,
    parent_id TEXT,
    skipped TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_snapshot PRIMARY KEY (snapshot_id),
    CONSTRAINT ck_snapshot_state CHECK (state IN ('available','corrupt','deleting'))
);

CREATE INDEX snapshot_service ON snapshot (service_id, taken_at, snapshot_id)
    WHERE state <> 'deleting';

CREATE INDEX snapshot_tenant ON snapshot (tenant_id, taken_at, snapshot_id)
    WHERE state <> 'deleting';

CREATE TABLE snapshot_label (
    snapshot_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    CONSTRAINT pk_snapshot_label PRIMARY KEY (snapshot_id, ordinal),
    CONSTRAINT fk_snapshot_label_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES snapshot (snapshot_id)
);

CREATE INDEX snapshot_label_pair ON snapshot_label (name, value);

CREATE TABLE pack (
    pack_key {key} NOT NULL,
    refs BIGINT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_pack PRIMARY KEY (pack_key),
    CONSTRAINT ck_pack_state CHECK (state IN ('LIVE','CONDEMNED')),
    CONSTRAINT ck_pack_refs CHECK (refs >= 0 AND (refs > 0 OR state = 'CONDEMNED'))
);

CREATE TABLE snapshot_pack (
    snapshot_id TEXT NOT NULL,
    pack_key {key} NOT NULL,
    CONSTRAINT pk_snapshot_pack PRIMARY KEY (snapshot_id, pack_key),
    CONSTRAINT fk_snapshot_pack_snapshot_id FOREIGN KEY (snapshot_id) REFERENCES snapshot (snapshot_id)
);

CREATE TABLE garbage (
    object_key {key} NOT NULL,
    is_prefix SMALLINT NOT NULL DEFAULT 0,
    turn SMALLINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    not_before BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT pk_garbage PRIMARY KEY (object_key)
);

CREATE INDEX garbage_turn ON garbage (turn, created_at, object_key);

CREATE TABLE node (
    node TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    version TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    CONSTRAINT pk_node PRIMARY KEY (node)
);
"""

#: Rule, table, event, and the condition under which the database refuses.
TRIGGERS = (
    (
        "operation_ended",
        "operation",
        "UPDATE",
        "OLD.state IN ('SUCCEEDED','ROLLED_BACK','FAILED','CANCELLED') AND NEW.state <> OLD.state",
    ),
    ("operation_fence_grows", "operation", "UPDATE", "NEW.fence < OLD.fence"),
    ("fence_grows", "service_fence", "UPDATE", "NEW.fence < OLD.fence"),
    ("fence_stays", "service_fence", "DELETE", ""),
)


def upgrade() -> None:
    """Create everything."""
    dialect = op.get_bind().dialect.name
    tables = TABLES
    for token, name in TYPES[dialect].items():
        tables = tables.replace("{" + token + "}", name)
    for statement in tables.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
    for rule, table, event, condition in TRIGGERS:
        for statement in _trigger(dialect, rule, table, event, condition):
            op.execute(statement)


def _trigger(dialect: str, rule: str, table: str, event: str, condition: str) -> list[str]:
    when = f"WHEN ({condition})" if condition else ""
    head = f"CREATE TRIGGER {rule} BEFORE {event} ON {table} FOR EACH ROW {when}"
    if dialect == "sqlite":
        return [f"{head} BEGIN SELECT RAISE(ABORT, 'backstay rule {rule}'); END"]
    function = f"CREATE FUNCTION refuse_{rule}() RETURNS trigger LANGUAGE plpgsql AS "
    raises = f"$$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = 'backstay rule {rule}'; END $$"
    return [function + raises, f"{head} EXECUTE FUNCTION refuse_{rule}()"]
