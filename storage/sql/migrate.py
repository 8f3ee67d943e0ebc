"""Bringing a database to this program's schema, safely when several nodes start at once.

Apart from the transactions because only this file knows Alembic, and imports it only when asked (it costs
a third of a second). The whole migration is one transaction on both databases: it happens or it does not.

Two rows say where a database stands. `schema_revision` is what was applied to it. `alembic_version` is the oldest
revision whose program still works on it: release 0.1 asks there for its own, and so it starts on a newer schema.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from domain.errors import DatabaseUnavailable
from storage.sql.tables import OLDEST_PROGRAM, SCHEMA_REVISION
from storage.sql.transactions import Transactions

#: Any constant of our own; PostgreSQL frees the lock with the transaction.
_LOCK = 0x6261636B
_MAKE = "CREATE TABLE {0} (version_num VARCHAR(32) NOT NULL, CONSTRAINT {0}_pkc PRIMARY KEY (version_num))"


def migrate(transactions: Transactions) -> None:
    """Apply what is missing. A second caller waits and then finds nothing to do; so does a program that is older than
    the schema and still works on it. One that does not raises DatabaseUnavailable."""
    import alembic.command
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    with transactions.write("migrate") as connection:
        if transactions.postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        found = _applied(connection)
        if found is not None and found > SCHEMA_REVISION:
            if trouble := _newer(connection, found):
                raise DatabaseUnavailable(trouble, code="schema-not-ready")
            return
        _continue_from(connection, found)
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
        _set(connection, "alembic_version", OLDEST_PROGRAM)


def check_schema(transactions: Transactions) -> str | None:
    """None when this program works on the schema; else a sentence that says what to do."""
    with transactions.read() as connection:
        found = _applied(connection)
        if found is None:
            return "the database has no tables yet; run `backstay migrate`"
        if found < SCHEMA_REVISION:
            return (
                f"the database has schema {found}, this program needs {SCHEMA_REVISION}; run `backstay migrate`, "
                "beside which nodes of the release before go on working"
            )
        return _newer(connection, found) if found > SCHEMA_REVISION else None


def described(transactions: Transactions) -> str:
    """The schema of a database that this program works on, in words."""
    with transactions.read() as connection:
        found = _applied(connection)
    if found == SCHEMA_REVISION:
        return f"schema {found} is current"
    return f"schema {found} is of a later release, and this program, of schema {SCHEMA_REVISION}, works on it"


def _newer(connection: Connection, found: str) -> str | None:
    oldest = _version(connection, "alembic_version") or found
    if oldest <= SCHEMA_REVISION:
        return None
    return (
        f"the database has schema {found}, on which programs of schema {oldest} or later work, and this one is of "
        f"{SCHEMA_REVISION}; install the newer release"
    )


def _applied(connection: Connection) -> str | None:
    """The revision of the database; releases before 0.2 wrote it where now the oldest program stands."""
    return _version(connection, "schema_revision") or _version(connection, "alembic_version")


def _continue_from(connection: Connection, found: str | None) -> None:
    if found is not None and not inspect(connection).has_table("schema_revision"):
        _set(connection, "schema_revision", found)


def _version(connection: Connection, table: str) -> str | None:
    if not inspect(connection).has_table(table):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {table}")).scalar()
    return None if found is None else str(found)


def _set(connection: Connection, table: str, version: str) -> None:
    if not inspect(connection).has_table(table):
        connection.execute(text(_MAKE.format(table)))
    if _version(connection, table) != version:
        connection.execute(text(f"DELETE FROM {table}"))
        connection.execute(text(f"INSERT INTO {table} (version_num) VALUES (:version)"), {"version": version})
