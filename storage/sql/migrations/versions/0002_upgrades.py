"""Upgrades: versions of applications, what upgrades have come to, held versions, reserved services.

Revision 0002. Plain SQL again. Rows of 0001 keep their meaning: nothing is reserved, no service belongs to
a group, and a step's beginning is not known.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE service ADD COLUMN group_id TEXT;
ALTER TABLE service ADD COLUMN share_uuid TEXT;
CREATE INDEX service_group ON service (tenant_id, group_id) WHERE group_id IS NOT NULL;

ALTER TABLE service_fence ADD COLUMN reserved_by TEXT NOT NULL DEFAULT '';
CREATE INDEX service_fence_reserved ON service_fence (reserved_by) WHERE reserved_by <> '';

ALTER TABLE step ADD COLUMN began_at BIGINT NOT NULL DEFAULT 0;

CREATE TABLE version (
    tenant_id TEXT NOT NULL,
    group_key TEXT NOT NULL,
    version TEXT NOT NULL,
    template {bytes} NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_version PRIMARY KEY (tenant_id, group_key, version)
);

CREATE TABLE upgrade_record (
    op_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    tenant_id TEXT NOT NULL,
    group_id TEXT,
    group_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    parent_id TEXT,
    old_version TEXT NOT NULL,
    new_version TEXT NOT NULL,
    status TEXT NOT NULL,
    action TEXT NOT NULL,
    event_id TEXT,
    snapshot_id TEXT,
    reason TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_upgrade_record PRIMARY KEY (op_id, service_id),
    CONSTRAINT ck_upgrade_record_kind CHECK (kind IN ('upgrade','rollback'))
);
CREATE INDEX upgrade_record_service ON upgrade_record (service_id, kind, seq);

CREATE TABLE held_version (
    service_id TEXT NOT NULL,
    group_key TEXT NOT NULL,
    version TEXT NOT NULL,
    reason TEXT NOT NULL,
    op_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT pk_held_version PRIMARY KEY (service_id, group_key, version)
)
"""


def upgrade() -> None:
    """Add what upgrades need."""
    kind = {"sqlite": "BLOB", "postgresql": "BYTEA"}[op.get_bind().dialect.name]
    for statement in STATEMENTS.replace("{bytes}", kind).split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
