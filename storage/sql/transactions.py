"""Short transactions, the database's clock, and the one place where SQLAlchemy's errors become ours.

Everything else in this package is given a `Transactions` and never sees an engine. A transaction holds no
remote call; a write is durable when its `with` block has ended, and has not happened when the block
raised, with one exception that no database can avoid: when the connection breaks during COMMIT the answer
is unknown. Every write here is therefore a compare-and-set that may be repeated.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import cast

from sqlalchemy import Connection, Engine, Table, exc, text
from sqlalchemy.dialects import postgresql, sqlite

from domain.errors import DatabaseUnavailable
from domain.failpoint import failpoint
from storage.sql.fairlock import FairLock

#: The channel on which PostgreSQL tells that there may be new work.
CHANNEL = "backstay_work"
#: SQLSTATE classes that mean "not now": connection, read-only standby, rollback (serialisation, deadlock), resources,
#: object not in the required state (lock timeout), operator intervention, system error.
WEATHER_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
UNDEFINED_TABLE = frozenset({"42P01", "42703"})
#: SQLite's primary result codes that mean "not now".
SQLITE_WEATHER = ("BUSY", "LOCKED", "FULL", "IOERR", "CANTOPEN", "READONLY", "PROTOCOL", "NOMEM", "INTERRUPT")
#: Of those, the ones that a full or failing disk may be behind.
SQLITE_DISK = ("FULL", "IOERR", "CANTOPEN", "READONLY")
#: Seconds of failing writes after which this process is not ready; and those for which a failure is news.
FAILING_SECONDS, STALE_SECONDS = 3.0, 30.0

_CLOCKS = {
    # julianday has a resolution of a tenth of a millisecond; unixepoch('subsec') needs SQLite 3.42.
    "sqlite": text("SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"),
    "postgresql": text("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"),
}


class Conflict(RuntimeError):
    """A unique index, a check or a trigger refused the write. Where that is no bug, the caller says why."""


class Transactions:
    """Gives out connections inside a transaction. May be shared between threads."""

    def __init__(
        self, engine: Engine, fair: FairLock | None, clock_ms: Callable[[], int] | None, readers_ms: int = 0
    ) -> None:
        self._engine, self._fair, self._clock_ms = engine, fair, clock_ms
        #: How long objects of a deleted snapshot stay for those who read them already, milliseconds.
        self.readers_ms = readers_ms
        self._readers = engine.execution_options(read_only=True)
        self.postgresql = engine.dialect.name == "postgresql"
        self._file = "" if self.postgresql else str(engine.url.database)
        #: Since when each write of this process has failed, when the last one did, and why; None after a good one.
        self._failing: tuple[float, float, DatabaseUnavailable] | None = None

    def now(self, connection: Connection) -> int:
        """UTC milliseconds by the database's clock, or by the one that tests put in its place."""
        if self._clock_ms is not None:
            return self._clock_ms()
        return int(connection.execute(_CLOCKS[connection.dialect.name]).scalar_one())

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that writes nothing and never makes a writer wait."""
        with translated(self._file), self._readers.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self, name: str) -> Iterator[Connection]:
        """A transaction that commits when the block ends; `name` names its two failpoints."""
        queue = self._fair.held() if self._fair else contextlib.nullcontext()
        with self._noted(), translated(self._file), self._engine.connect() as connection, queue, connection.begin():
            yield connection
            failpoint(f"{name}.before-commit")
        failpoint(f"{name}.after-commit")

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except DatabaseUnavailable as error:
            now, before = time.monotonic(), self._failing
            if before is not None and now - before[1] >= STALE_SECONDS:
                before = None  # nobody knows what was between the two
            self._failing = (before[0] if before else now, now, error)
            raise
        self._failing = None

    def check_writes(self) -> None:
        """DatabaseUnavailable when no write of this process has succeeded for a while; what nobody has tried for a
        long time is not known to fail."""
        now, failing = time.monotonic(), self._failing
        if failing is not None and now - failing[0] > FAILING_SECONDS and now - failing[1] < STALE_SECONDS:
            raise DatabaseUnavailable(str(failing[2]), next_step=failing[2].next_step)

    def insert(self, table: Table) -> postgresql.Insert:
        """An INSERT that knows ON CONFLICT; both dialects spell it alike, so one type stands for both."""
        return postgresql.insert(table) if self.postgresql else cast("postgresql.Insert", sqlite.insert(table))

    def ring(self, connection: Connection) -> None:
        """Tell other processes, when this transaction commits, that there may be new work."""
        if self.postgresql:
            connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})


@contextlib.contextmanager
def translated(file: str = "") -> Iterator[None]:
    """Turn driver errors into DatabaseUnavailable or Conflict; anything else is a bug and says so.

    `file` is SQLite's, for whoever has to look at its disk. The new error carries the driver's first line and never the
    statement's parameters.
    """
    try:
        yield
    except exc.TimeoutError:
        raise DatabaseUnavailable(
            "no database connection was free within 10 s", next_step="lower the number of threads or raise the pool"
        ) from None
    except exc.IntegrityError as error:
        raise Conflict(f"the database refused a write: {_first_line(error)}") from error
    except exc.DBAPIError as error:
        if _undefined(error):
            raise DatabaseUnavailable(
                f"the database has another schema than this program: {_first_line(error)}",
                next_step="run `backstay migrate`",
            ) from error
        if _primary_code(error) in SQLITE_DISK:
            raise DatabaseUnavailable(
                f"the database {file} cannot be used: {_first_line(error)}",
                next_step=f"make room on the disk of {file} (`df` and `df -i`), or look at its health and permissions",
            ) from error
        if error.connection_invalidated or _weather(error):
            raise DatabaseUnavailable(f"the database did not answer: {_first_line(error)}") from error
        raise RuntimeError(f"the database rejected a statement of this program: {_first_line(error)}") from error


def _first_line(error: exc.DBAPIError) -> str:
    return (str(error.orig).splitlines() or [type(error.orig).__name__])[0][:300]


def _undefined(error: exc.DBAPIError) -> bool:
    said = str(error.orig)
    return getattr(error.orig, "sqlstate", None) in UNDEFINED_TABLE or said.startswith(
        ("no such table", "no such column")
    )


def _primary_code(error: exc.DBAPIError) -> str:
    """SQLite's primary result code; "" on PostgreSQL."""
    return str(getattr(error.orig, "sqlite_errorname", None) or "").removeprefix("SQLITE_").split("_")[0]


def _weather(error: exc.DBAPIError) -> bool:
    if code := _primary_code(error):
        return code in SQLITE_WEATHER
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state)[:2] in WEATHER_CLASSES
    return isinstance(error, exc.OperationalError | exc.InterfaceError)
