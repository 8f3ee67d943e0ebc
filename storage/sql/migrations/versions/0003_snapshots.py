"""Snapshots: what is known of their health, why one is kept, and what has been made from them.

Revision 0003. Plain SQL again. Rows of 0002 keep their meaning: nothing is pinned, nothing was verified,
and without a retention policy everything is kept.
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

DROP INDEX snapshot_label_pair;
CREATE INDEX snapshot_label_pair ON snapshot_label (name, value, snapshot_id);
CREATE INDEX snapshot_newest ON snapshot (taken_at, snapshot_id) WHERE state <> 'deleting'
"""


def upgrade() -> None:
    """Add what snapshots need."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
