"""Bringing a database to this program's schema, safely when several nodes start at once.

Apart from the transactions because only this file knows Alembic, and imports it only when asked (it costs
a third of a second). The whole migration is one transaction on both databases: it happens or it does not.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from storage.sql.tables import SCHEMA_REVISION
from storage.sql.transactions import Transactions

#: Any constant of our own; PostgreSQL frees the lock with the transaction.
_LOCK = 0x6261636B


def migrate(transactions: Transactions) -> None:
    """Apply what is missing. A second caller waits and then finds nothing to do."""
    import alembic.command
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with transactions.write("migrate") as connection:
        if transactions.postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")


def check_schema(transactions: Transactions) -> str | None:
    """None when the schema is this program's; else a sentence that says what to do."""
    with transactions.read() as connection:
        found = _revision(connection)
    if found == SCHEMA_REVISION:
        return None
    if found is None:
        return "the database has no tables yet; run `backstay migrate`"
    if found < SCHEMA_REVISION:
        return f"the database has schema {found}, this program needs {SCHEMA_REVISION}; run `backstay migrate`"
    return (
        f"the database has schema {found}, newer than this program's {SCHEMA_REVISION}; it still works with the "
        "release directly before, anything older must be updated"
    )


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
