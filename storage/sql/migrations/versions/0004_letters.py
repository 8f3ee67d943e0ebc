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
CREATE INDEX audit_actor ON audit (actor, seq)
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
