"""What Alembic runs for each command: migrate on the connection and inside the transaction that it is given.

Apart from `storage.sql.migrate` because Alembic loads this file by its path. It opens no connection: the
caller holds the lock that keeps two nodes from migrating at once.
"""

from __future__ import annotations

from alembic import context

from storage.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="schema_revision",  # alembic_version has another meaning here, see storage.sql.migrate
    transactional_ddl=True,  # SQLite can, and then a killed migration leaves nothing
)
context.run_migrations()
