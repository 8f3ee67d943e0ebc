"""Connections: how each of the two databases is opened so that a commit is durable and nobody waits for ever.

Apart from the transactions, which use an engine without knowing which database it is. Refuses databases
that cannot keep the promise: SQLite in memory or on a network file system, and anything else than SQLite
and PostgreSQL. Opens no connection by itself.
"""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import Refused
from storage.sql.fairlock import FairLock

#: Milliseconds a statement waits for SQLite's own lock; longer than any transaction of ours.
BUSY_TIMEOUT_MS = 30_000
#: Server settings of each PostgreSQL session: no statement waits for a lock for longer than this. No statement here
#: runs long enough to be worth compiling, and the claim looks to the planner as if it did: with thousands queued that
#: alone takes 28 ms each time.
POSTGRES_OPTIONS = "-c lock_timeout=5s -c timezone=UTC -c jit=off"
#: The server must notice, too, that nobody is there any more: the idle limit does not run while it waits in the middle
#: of what the driver pipelines, and by itself it keeps such a session's locks for two hours.
POSTGRES_NOTICES = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 -c tcp_user_timeout=15000"
)
#: Milliseconds after which the server ends a session that says nothing inside a transaction, and with it its locks.
IDLE_MS = 30_000
#: A server that drops packets is noticed in seconds, not in the quarter of an hour that TCP allows.
POSTGRES_KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
#: File systems whose locks or mmap SQLite cannot trust.
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "fuse.glusterfs", "fuse.sshfs"}
)


def parse_url(text: str) -> URL:
    """The database's URL with the driver filled in; Refused if it names a database we do not know."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # a password that holds "/" makes a port of its first half
        raise Refused(
            "the database URL cannot be read",
            code="bad-database-url",
            next_step="use sqlite:////absolute/path.db or postgresql://user@host/database; write / @ : ? # % of a "
            "password as %2F %40 %3A %3F %23 %25",
        ) from None
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise Refused(f"the database must be SQLite or PostgreSQL, not {url.drivername}", code="bad-database-url")
    if not url.database or url.database == ":memory:":
        raise Refused("an SQLite database in memory loses everything; name a file", code="bad-database-url")
    return url


def open_engine(url: URL, idle_ms: int = IDLE_MS) -> tuple[Engine, FairLock | None]:
    """An engine, and for SQLite the lock that its write transactions queue behind. `idle_ms`: how long PostgreSQL lets
    a transaction wait for a process that says nothing, at most IDLE_MS."""
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(url)
    options = f"{POSTGRES_OPTIONS} {POSTGRES_NOTICES} -c idle_in_transaction_session_timeout={min(idle_ms, IDLE_MS)}"
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",
        connect_args={"options": options, "connect_timeout": 5, **POSTGRES_KEEPALIVE},
        hide_parameters=True,
        pool_size=16,
        max_overflow=16,
        pool_timeout=10,
    )

    @event.listens_for(engine, "after_cursor_execute")
    def watch_again(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, many: bool
    ) -> None:
        if many:  # the driver pipelines these, after which the server forgets that the session may be idle only so long
            connection.connection.cursor().execute("SELECT 1").close()

    return engine, None


def _open_sqlite(url: URL) -> tuple[Engine, FairLock]:
    path = os.path.abspath(str(url.database))
    _refuse_network_file_system(path)
    fair = FairLock(path + ".lock")
    engine = create_engine(
        url.set(database=path),
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
        hide_parameters=True,
        pool_size=16,
        max_overflow=16,
        pool_timeout=10,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            with fair.held():  # changing the mode ignores the busy timeout
                cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")  # NORMAL loses acknowledged commits with the power
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        read_only = connection.get_execution_options().get("read_only")
        # A transaction that begins as a reader and then writes can fail half-way with SQLITE_BUSY.
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine, fair


def _refuse_network_file_system(path: str) -> None:
    folder = os.path.realpath(os.path.dirname(path))
    kind = _file_system(folder)
    if kind in NETWORK_FILE_SYSTEMS:
        raise Refused(
            f"the SQLite database {path} would be on a network file system ({kind}), where its locks do not hold",
            code="bad-database-url",
            next_step="put it on a local disk, or use PostgreSQL",
        )


def _file_system(folder: str, mounts: str = "/proc/self/mountinfo") -> str:
    """The type of the file system that holds `folder`; "" where it cannot be told."""
    best, kind = "", ""
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                left, _, right = line.partition(" - ")
                mount = left.split()[4].replace("\\040", " ")
                inside = folder == mount or folder.startswith(mount.rstrip("/") + "/")
                if inside and len(mount) >= len(best):
                    best, kind = mount, right.split()[0]
    except (OSError, IndexError):
        return ""
    return kind
