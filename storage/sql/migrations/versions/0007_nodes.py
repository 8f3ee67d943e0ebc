"""The life of nodes: draining, slots, and what they last said of themselves.

Revision 0007. Plain SQL, like the revisions before. A node of the release before goes on beating and writes none
of these columns; it also claims without reading them, so a drain holds for nodes of this release.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = """
ALTER TABLE node ADD COLUMN drained_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE node ADD COLUMN drained_by TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN drain_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE node ADD COLUMN report TEXT NOT NULL DEFAULT '';
"""


def upgrade() -> None:
    """Add what this revision needs."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
