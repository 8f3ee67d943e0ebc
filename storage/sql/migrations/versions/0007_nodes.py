"""The life of nodes: draining, slots, and what they last said of themselves.

Revision 0007. Plain SQL, like the revisions before.
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = """
"""


def upgrade() -> None:
    """Add what this revision needs."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
