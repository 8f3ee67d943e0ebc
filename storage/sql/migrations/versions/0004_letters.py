"""Dead letters for operators: what they are about, what was done with them, and who did it.

Revision 0004. Plain SQL, like the revisions before. The triggers hold what no program may do: the audit trail is
written, and never changed.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERIAL = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
}

STATEMENTS = """
CREATE TABLE audit (
    seq {serial},
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    way TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    CONSTRAINT ck_audit_way CHECK (way IN ('cli','api','console'))
);
CREATE INDEX audit_tenant ON audit (tenant_id, seq);
CREATE INDEX audit_subject ON audit (subject, seq);
CREATE INDEX audit_actor ON audit (actor, seq);

CREATE TABLE replay (
    seq {serial},
    replay_id TEXT NOT NULL,
    state TEXT NOT NULL,
    actor TEXT NOT NULL,
    way TEXT NOT NULL,
    reason TEXT NOT NULL,
    canary BIGINT NOT NULL DEFAULT 0,
    per_minute BIGINT NOT NULL DEFAULT 0,
    why TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    rest_from BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT uq_replay_replay_id UNIQUE (replay_id),
    CONSTRAINT ck_replay_state CHECK (state IN ('RUNNING','DONE','STOPPED'))
);
CREATE INDEX replay_running ON replay (seq) WHERE state = 'RUNNING';

CREATE TABLE replay_item (
    replay_id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    dead_letter_id TEXT NOT NULL,
    state TEXT NOT NULL,
    op_id TEXT,
    why TEXT NOT NULL DEFAULT '',
    CONSTRAINT pk_replay_item PRIMARY KEY (replay_id, ordinal),
    CONSTRAINT fk_replay_item_replay_id FOREIGN KEY (replay_id) REFERENCES replay (replay_id),
    CONSTRAINT ck_replay_item_state CHECK (state IN ('WAITING','REPLAYED','SKIPPED'))
);
CREATE INDEX replay_item_letter ON replay_item (dead_letter_id);

CREATE INDEX dead_letter_cause ON dead_letter (fingerprint, seq) WHERE resolution IS NULL
"""


def upgrade() -> None:
    """Add what this revision needs."""
    dialect = op.get_context().dialect.name
    for statement in STATEMENTS.replace("{serial}", SERIAL[dialect]).split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
    for statement in _audit_stays(dialect):
        op.execute(statement)


def _audit_stays(dialect: str) -> list[str]:
    heads = [
        f"CREATE TRIGGER audit_stays_{event} BEFORE {event} ON audit FOR EACH ROW" for event in ("UPDATE", "DELETE")
    ]
    if dialect == "sqlite":
        return [f"{head} BEGIN SELECT RAISE(ABORT, 'backstay rule audit_stays'); END" for head in heads]
    function = "CREATE FUNCTION refuse_audit_stays() RETURNS trigger LANGUAGE plpgsql AS "
    raises = "$$ BEGIN RAISE integrity_constraint_violation USING MESSAGE = 'backstay rule audit_stays'; END $$"
    return [function + raises, *(f"{head} EXECUTE FUNCTION refuse_audit_stays()" for head in heads)]
