"""Snapshots: what is known of their health, why one is kept, and what has been made from them.

Revision 0003. Plain SQL again. Rows of 0002 keep their meaning: nothing is pinned, nothing was verified,
and without a retention policy everything is kept. A label carries what lists by label are limited and ordered by;
the trigger fills that in for nodes of the release before, which do not know those columns.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE service ADD COLUMN retention TEXT NOT NULL DEFAULT '';
ALTER TABLE service ADD COLUMN sources TEXT NOT NULL DEFAULT '';

ALTER TABLE snapshot ADD COLUMN pinned TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshot ADD COLUMN verified_at BIGINT;
ALTER TABLE snapshot ADD COLUMN verified_level TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshot ADD COLUMN fault TEXT NOT NULL DEFAULT '';

CREATE TABLE export (
    snapshot_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    object_key TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    sha256 TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT pk_export PRIMARY KEY (snapshot_id)
);
CREATE INDEX export_expiry ON export (expires_at);

CREATE TABLE snapshot_replica (
    snapshot_id TEXT NOT NULL,
    replica TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    not_before BIGINT NOT NULL DEFAULT 0,
    held_until BIGINT NOT NULL DEFAULT 0,
    trouble TEXT NOT NULL DEFAULT '',
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_snapshot_replica PRIMARY KEY (snapshot_id, replica),
    CONSTRAINT ck_snapshot_replica_state CHECK (state IN ('pending','copied','damaged'))
);
CREATE INDEX snapshot_replica_held ON snapshot_replica (held_until) WHERE state <> 'copied';

DROP INDEX snapshot_label_pair;
ALTER TABLE snapshot_label ADD COLUMN tenant_id TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshot_label ADD COLUMN service_id TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshot_label ADD COLUMN taken_at BIGINT NOT NULL DEFAULT 0;
UPDATE snapshot_label SET
    tenant_id = (SELECT s.tenant_id FROM snapshot AS s WHERE s.snapshot_id = snapshot_label.snapshot_id),
    service_id = (SELECT s.service_id FROM snapshot AS s WHERE s.snapshot_id = snapshot_label.snapshot_id),
    taken_at = (SELECT s.taken_at FROM snapshot AS s WHERE s.snapshot_id = snapshot_label.snapshot_id);
CREATE INDEX snapshot_label_newest ON snapshot_label (name, value, taken_at, snapshot_id);
CREATE INDEX snapshot_label_service ON snapshot_label (service_id, name, value, taken_at, snapshot_id);
CREATE INDEX snapshot_label_tenant ON snapshot_label (tenant_id, name, value, taken_at, snapshot_id);
CREATE INDEX snapshot_newest ON snapshot (taken_at, snapshot_id) WHERE state <> 'deleting'
"""

FILL_SQLITE = (
    """CREATE TRIGGER snapshot_label_filled AFTER INSERT ON snapshot_label WHEN (NEW.tenant_id = '') BEGIN
    UPDATE snapshot_label SET (tenant_id, service_id, taken_at) =
    (SELECT tenant_id, service_id, taken_at FROM snapshot WHERE snapshot_id = NEW.snapshot_id)
    WHERE snapshot_id = NEW.snapshot_id AND ordinal = NEW.ordinal; END""",
)
FILL_POSTGRESQL = (
    """CREATE FUNCTION fill_snapshot_label() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    SELECT tenant_id, service_id, taken_at INTO NEW.tenant_id, NEW.service_id, NEW.taken_at
    FROM snapshot WHERE snapshot_id = NEW.snapshot_id; RETURN NEW; END $$""",
    """CREATE TRIGGER snapshot_label_filled BEFORE INSERT ON snapshot_label FOR EACH ROW WHEN (NEW.tenant_id = '')
    EXECUTE FUNCTION fill_snapshot_label()""",
)


def upgrade() -> None:
    """Add what snapshots need."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
    for statement in FILL_SQLITE if op.get_context().dialect.name == "sqlite" else FILL_POSTGRESQL:
        op.execute(statement)
