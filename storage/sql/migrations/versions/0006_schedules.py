"""Schedules and policies: when something is to be done by itself, and how old the last success may be.

Revision 0006. Plain SQL, like the revisions before.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE service ADD COLUMN rpo_seconds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE service ADD COLUMN rpo_since BIGINT NOT NULL DEFAULT 0;

CREATE TABLE schedule (
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    schedule_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    cron TEXT NOT NULL,
    zone TEXT NOT NULL,
    jitter_seconds BIGINT NOT NULL DEFAULT 0,
    catch_up TEXT NOT NULL,
    joins SMALLINT NOT NULL DEFAULT 1,
    next_at BIGINT NOT NULL DEFAULT 0,
    seq BIGINT NOT NULL DEFAULT 0,
    pause_seq BIGINT NOT NULL DEFAULT 0,
    removed SMALLINT NOT NULL DEFAULT 0,
    paused SMALLINT NOT NULL DEFAULT 0,
    pause_reason TEXT NOT NULL DEFAULT '',
    pause_by TEXT NOT NULL DEFAULT '',
    pause_at BIGINT NOT NULL DEFAULT 0,
    pause_until BIGINT NOT NULL DEFAULT 0,
    changed_by TEXT NOT NULL DEFAULT '',
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_schedule PRIMARY KEY (tenant_id, name),
    CONSTRAINT ck_schedule_catch_up CHECK (catch_up IN ('none','one','all')),
    CONSTRAINT ck_schedule_flags CHECK (joins IN (0,1) AND removed IN (0,1) AND paused IN (0,1))
);
CREATE INDEX schedule_due ON schedule (next_at) WHERE removed = 0;

CREATE TABLE firing (
    schedule_id TEXT NOT NULL,
    nominal_at BIGINT NOT NULL,
    service_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    run_at BIGINT NOT NULL DEFAULT 0,
    state TEXT NOT NULL,
    why TEXT NOT NULL DEFAULT '',
    operations TEXT NOT NULL DEFAULT '',
    updated_at BIGINT NOT NULL,
    CONSTRAINT pk_firing PRIMARY KEY (schedule_id, nominal_at, service_id),
    CONSTRAINT ck_firing_state CHECK (state IN ('planned','asked','coalesced','skipped'))
);
CREATE INDEX firing_ripe ON firing (run_at) WHERE state = 'planned';
CREATE INDEX firing_name ON firing (tenant_id, name, nominal_at);
CREATE INDEX firing_age ON firing (updated_at);

CREATE TABLE scheduler (
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    lease_until BIGINT NOT NULL DEFAULT 0,
    looked_at BIGINT NOT NULL DEFAULT 0,
    CONSTRAINT pk_scheduler PRIMARY KEY (name)
);

CREATE TABLE drill (
    op_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    service_id TEXT NOT NULL,
    snapshot_id TEXT NOT NULL,
    node TEXT NOT NULL,
    passed SMALLINT NOT NULL DEFAULT 0,
    recovery_ms BIGINT NOT NULL DEFAULT 0,
    bytes BIGINT NOT NULL DEFAULT 0,
    files BIGINT NOT NULL DEFAULT 0,
    goal_seconds BIGINT NOT NULL DEFAULT 0,
    reason TEXT NOT NULL,
    ended_at BIGINT NOT NULL,
    CONSTRAINT pk_drill PRIMARY KEY (op_id),
    CONSTRAINT ck_drill_passed CHECK (passed IN (0,1))
);
CREATE INDEX drill_service ON drill (service_id, ended_at, op_id);
CREATE INDEX drill_newest ON drill (ended_at, op_id);

CREATE TABLE rpo_miss (
    service_id TEXT NOT NULL,
    episode TEXT NOT NULL,
    missed_at BIGINT NOT NULL,
    CONSTRAINT pk_rpo_miss PRIMARY KEY (service_id)
)
"""


def upgrade() -> None:
    """Add what this revision needs."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
