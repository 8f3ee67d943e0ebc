"""The index by which a claim finds whose turn it is.

Revision 0008. A node of the release before goes on claiming by op_ready, oldest first, so that index stays.
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

STATEMENT = """
CREATE INDEX op_turn ON operation (node, kind, tenant_id, created_at, seq)
WHERE state IN ('QUEUED','RUNNING','COMPENSATING')
"""


def upgrade() -> None:
    """Add what this revision needs."""
    op.execute(STATEMENT.strip())
