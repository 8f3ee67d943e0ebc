"""PostgreSQL, and new databases on it.

Apart from the other servers because it refuses to run as root and because each test gets a database of its own.
fsync is off: a killed process loses nothing by it, and no test here cuts the power. synchronous_commit stays on,
for without it a killed server forgets the last commits it confirmed.
"""

from __future__ import annotations

import re
import secrets
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.servers.ports import LOOPBACK, free_ports
from tests.servers.process import Process, run
from tests.servers.server import Server

INSTALLED = Path("/usr/lib/postgresql")
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "64MB",
}


def postgres_programs() -> Path:
    """The directory of the newest installed version's programs; Debian keeps them off PATH."""
    versions = [path for path in INSTALLED.glob("*/bin") if re.fullmatch(r"\d+", path.parent.name)]
    return max(versions, key=lambda path: int(path.parent.name), default=INSTALLED / "bin")


class PostgresServer(Server):
    """One cluster with trust authentication; `url` is its database `postgres`, for SQLAlchemy."""

    name = "postgres"

    def __init__(self) -> None:
        super().__init__()
        (self.port,) = free_ports(1)

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        programs, data = postgres_programs(), self.directory / "data"
        user = "postgres" if self.directory.owner() == "root" else None
        if user is not None:
            shutil.chown(self.directory, user)
        initdb: list[str | Path] = [
            programs / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        run([*initdb, "--locale=C.UTF-8"], self.directory / "initdb.log", user=user)
        options = [f"--{name}={value}" for name, value in SETTINGS.items()]
        self.front = Process(
            [programs / "postgres", "-D", data, "-p", str(self.port), *options],
            self.directory / "postgres.log",
            # SIGINT is its fast shutdown, SIGQUIT its immediate one, which still gives its shared memory back.
            stop_signal=signal.SIGINT,
            orphan_signal=signal.SIGQUIT,
            user=user,
        )

    def launch(self) -> None:
        self.front.start()
        self.front.wait_until(self._answers, 120, "postgres accepts connections")

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """The URL of a new, empty database, dropped afterwards whoever is still connected to it."""
        name = f"test_{secrets.token_hex(6)}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self.url_of(name)
        finally:
            if self._answers():  # a test may have left the server dead, and the whole cluster goes in the end
                self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _administer(self, statement: sql.Composed) -> None:
        with self._connect() as connection:
            connection.execute(statement)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:  # not listening yet, or still recovering
            return False
        return True

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=LOOPBACK, port=self.port, user="postgres", dbname="postgres", autocommit=True, connect_timeout=5
        )
