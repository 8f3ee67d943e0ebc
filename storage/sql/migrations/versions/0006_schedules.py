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
"""


def upgrade() -> None:
    """Add what this revision needs."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
