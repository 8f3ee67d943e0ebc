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

ALTER TABLE snapshot ADD COLUMN pinned TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshot ADD COLUMN verified_at BIGINT;
ALTER TABLE snapshot ADD COLUMN verified_level TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshot ADD COLUMN fault TEXT NOT NULL DEFAULT ''
"""


def upgrade() -> None:
    """Add what snapshots need."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
