"""Dead letters for operators: what they are about, what was done with them, and who did it.

Revision 0004. Plain SQL, like the revisions before.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = """
"""


def upgrade() -> None:
    """Add what this revision needs."""
    for statement in STATEMENTS.split(";\n"):
        if statement.strip():
            op.execute(statement.strip())
