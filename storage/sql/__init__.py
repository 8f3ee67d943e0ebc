"""The SQL side: the queue of truth, on SQLite for one node and on PostgreSQL for many.

Apart from the stores of bytes because its promise is another: what has been committed here is decided.
`open_database` is the whole public surface; nothing else is imported from outside this package.
"""

from __future__ import annotations

from storage.sql.database import Database, open_database

__all__ = ["Database", "open_database"]
