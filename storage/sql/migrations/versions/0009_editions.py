"""Editions: which programs may carry out an operation, and which snapshots release 0.1 cannot read.

Revision 0009. Plain SQL, like the revisions before. Rows of before are of edition 1. A program that looks at editions
says so by writing the fence of its claim into `known_fence`; the trigger lets no other program take what release 0.1
would do wrongly, by leaving the row out of its UPDATE. Whatever is bound to that program's node rests a while as well,
so that the work behind it is found.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE operation ADD COLUMN edition BIGINT NOT NULL DEFAULT 1;
ALTER TABLE operation ADD COLUMN known_fence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE snapshot ADD COLUMN edition BIGINT NOT NULL DEFAULT 1
"""

#: A claim, and nothing else, counts up what has been claimed without progress.
UNKNOWING = "NEW.claims_no_progress > OLD.claims_no_progress AND NEW.known_fence <> NEW.fence"

#: What release 0.1 would do wrongly: what is above its edition or was begun above it; a service that an operation has
#: reserved; work of a drained node; services with sources; snapshots that it cannot read, or does not know to be pinned
#: or copied.
WRONG = """NEW.edition > 1
    OR (NEW.exclusive = 1 AND EXISTS (SELECT 1 FROM service_fence AS f
        WHERE f.service_id = NEW.service_id AND f.reserved_by <> '' AND f.reserved_by <> NEW.op_id))
    OR (OLD.state = 'QUEUED' AND NEW.kind <> 'cancel-operation' AND EXISTS (SELECT 1 FROM node AS n
        WHERE n.drained_at > 0 AND substr(NEW.owner, 1, length(n.node) + 1) = n.node || '|'))
    OR (NEW.kind IN ('create-snapshot', 'restore-snapshot') AND EXISTS (SELECT 1 FROM service AS s
        WHERE s.service_id = NEW.service_id AND s.sources <> ''))
    OR (NEW.kind = 'restore-snapshot' AND EXISTS (SELECT 1 FROM snapshot AS s
        WHERE s.tenant_id = NEW.tenant_id AND s.state <> 'deleting' AND s.edition > 1))
    OR (NEW.kind = 'delete-snapshot' AND EXISTS (SELECT 1 FROM snapshot AS s
        WHERE s.service_id = NEW.service_id AND s.state <> 'deleting' AND (s.edition > 1 OR s.pinned <> ''
            OR EXISTS (SELECT 1 FROM snapshot_replica AS r WHERE r.snapshot_id = s.snapshot_id))))"""

REST = """UPDATE operation SET next_attempt_at = NEW.updated_at + 3000, error_code = 'left-to-newer-release',
    error_sentence = 'the release of a node that wanted it must leave it alone; it goes on when that node is upgraded'
    WHERE seq = OLD.seq AND node <> ''"""
HEAD = "CREATE TRIGGER claim_knows BEFORE UPDATE OF claims_no_progress ON operation FOR EACH ROW"

SQLITE = (f"{HEAD} WHEN ({UNKNOWING} AND ({WRONG})) BEGIN {REST}; SELECT RAISE(IGNORE); END",)
POSTGRESQL = (
    f"""CREATE FUNCTION leave_to_who_knows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF {WRONG} THEN {REST}; RETURN NULL; END IF; RETURN NEW; END $$""",
    f"{HEAD} WHEN ({UNKNOWING}) EXECUTE FUNCTION leave_to_who_knows()",
)


def upgrade() -> None:
    """Add what this revision needs."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
    for statement in SQLITE if op.get_context().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)
