"""Who may use the HTTP API: tokens and sessions.

Revision 0005. Plain SQL, like the revisions before. Of a secret only its digest is kept, and a token that was revoked
stays: its name is in the audit trail.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = """
CREATE TABLE access_token (
    token_id TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT,
    last_used_at BIGINT,
    revoked_at BIGINT,
    revoked_by TEXT,
    CONSTRAINT pk_access_token PRIMARY KEY (token_id),
    CONSTRAINT uq_access_token_digest UNIQUE (digest)
);
CREATE UNIQUE INDEX access_token_name ON access_token (name) WHERE revoked_at IS NULL;

CREATE TABLE access_session (
    digest TEXT NOT NULL,
    token_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT pk_access_session PRIMARY KEY (digest),
    CONSTRAINT fk_access_session_token_id FOREIGN KEY (token_id) REFERENCES access_token (token_id)
);
CREATE INDEX access_session_expiry ON access_session (expires_at)
"""


def upgrade() -> None:
    """Add what this revision needs."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
