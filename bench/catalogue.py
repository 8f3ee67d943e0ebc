"""How long a list of snapshots by label takes, with a hundred thousand of them, on SQLite and PostgreSQL.

    python -m bench.catalogue [--snapshots N] [--calls N]

Apart from bench/archive.py because no store takes part: the port has none to ask. Fills an empty database with plain
SQL: 200 services of 20 tenants, four labels each, from one that nearly all carry to one that a single snapshot
carries; then asks the port for a page as the CLI does. Prints a Markdown table. The goal is 5 ms for each line.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg

from domain.snapshot import Label, Snapshot
from storage.sql import Database, open_database
from tests.contract.sql_bench import FlippingSealer
from tests.servers.postgres import PostgresServer

PAGE = 50
NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {count})"
LABELS = {
    "reason": "CASE WHEN n % 10 = 0 THEN 'manual' ELSE 'nightly' END",
    "owner": "'o' || (n % 1000)",
    "ticket": "'k' || n",
    "release": "CASE WHEN n < 2000 THEN 'old' ELSE 'new' END",
}
FILL = (
    f"""{NUMBERS} INSERT INTO snapshot (snapshot_id, tenant_id, service_id, state, taken_at, manifest_key, root_digest,
    logical_bytes, stored_bytes, files, consistency, include, has_data, skipped, updated_at)
    SELECT 's' || n, 't' || (n % 20), 'web' || (n % 200), 'available', 1700000000000 + n * 1000, 'manifest/' || n, 'aa',
    1000000, 1000, 100, 'stable', '["configuration","data"]', 1, '[]', 1700000000000 FROM numbers""",
    *(
        f"""{NUMBERS} INSERT INTO snapshot_label
        (snapshot_id, ordinal, name, value, tenant_id, service_id, taken_at)
        SELECT 's' || n, {ordinal}, '{name}', {value}, 't' || (n % 20), 'web' || (n % 200), 1700000000000 + n * 1000
        FROM numbers"""
        for ordinal, (name, value) in enumerate(LABELS.items())
    ),
)
Question = tuple[str | None, list[str], list[Label]]
QUESTIONS: dict[str, Question] = {
    "a service, no label": (None, ["web20"], []),
    "a service, a label of one in ten": (None, ["web20"], [Label("reason", "manual")]),
    "a service, a label that nothing of it carries": (None, ["web21"], [Label("reason", "manual")]),
    "a service, a label of its oldest": (None, ["web20"], [Label("release", "old")]),
    "a tenant, a label of nearly all": ("t1", [], [Label("reason", "nightly")]),
    "a tenant, a label of one in a thousand": ("t1", [], [Label("owner", "o21")]),
    "a tenant, a label of its oldest": ("t1", [], [Label("release", "old")]),
    "a tenant, two labels": ("t1", [], [Label("owner", "o21"), Label("reason", "nightly")]),
    "a tenant, two common labels that never meet": ("t1", [], [Label("reason", "manual"), Label("release", "new")]),
    "everything, two labels that seldom meet": (None, [], [Label("reason", "manual"), Label("release", "old")]),
    "a tenant, a label of one snapshot": ("t1", [], [Label("ticket", "k21")]),
    "a tenant, a label of none": ("t1", [], [Label("ticket", "none")]),
    "everything, a label of nearly all": (None, [], [Label("reason", "nightly")]),
    "everything, a label of the oldest": (None, [], [Label("release", "old")]),
    "everything, a label of one in a thousand": (None, [], [Label("owner", "o21")]),
}


def measure(database: Database, calls: int) -> dict[str, tuple[float, float, int]]:
    """For each question the median and the 95th percentile in ms, and how many were found."""
    found = {}
    for name, (tenant_id, service_ids, labels) in QUESTIONS.items():

        def ask(
            tenant_id: str | None = tenant_id, services: list[str] = service_ids, labels: list[Label] = labels
        ) -> list[Snapshot]:
            return database.catalogue.find(tenant_id, services, labels, PAGE, None)

        count = len(ask())
        times = sorted(_milliseconds(ask) for _ in range(calls))
        found[name] = (statistics.median(times), times[int(len(times) * 0.95)], count)
    return found


def _milliseconds(ask: Callable[[], object]) -> float:
    started = time.perf_counter()
    ask()
    return (time.perf_counter() - started) * 1000


def on_sqlite(count: int, calls: int) -> dict[str, tuple[float, float, int]]:
    """In a new file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.db"
        with closing(open_database(f"sqlite:///{path}", FlippingSealer())) as database:
            database.migrate()
            with closing(sqlite3.connect(path)) as connection:
                for statement in FILL:
                    connection.execute(statement.format(count=count))
                connection.commit()
            return measure(database, calls)


def on_postgresql(count: int, calls: int) -> dict[str, tuple[float, float, int]]:
    """On the tests' server, in a new database, after its own ANALYZE as autovacuum would do it."""
    server = PostgresServer()
    server.start()
    try:
        with (
            server.fresh_database() as url,
            closing(open_database(url, FlippingSealer())) as database,
        ):
            database.migrate()
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                for statement in FILL:
                    connection.execute(statement.format(count=count).encode())
                connection.execute("ANALYZE")
            return measure(database, calls)
    finally:
        server.stop()


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--snapshots", type=int, default=100_000)
    parser.add_argument("--calls", type=int, default=100)
    given = parser.parse_args()
    sqlite, postgresql = on_sqlite(given.snapshots, given.calls), on_postgresql(given.snapshots, given.calls)
    print(f"A page of {PAGE} of {given.snapshots} snapshots, ms, median / 95th percentile of {given.calls} calls.\n")
    print("| list | found | SQLite | PostgreSQL |")
    print("|---|---|---|---|")
    for name in QUESTIONS:
        cells = [f"{one[name][0]:.1f} / {one[name][1]:.1f}" for one in (sqlite, postgresql)]
        print(f"| {name} | {sqlite[name][2]} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
