"""Who may use the HTTP API: tokens and sessions.

Revision 0005. Plain SQL, like the revisions before.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = """
"""


def upgrade() -> None:
    """Add what this revision needs."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
