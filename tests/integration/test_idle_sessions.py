"""What the server does with a session that says nothing in the middle of a transaction: its locks end with it."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

from storage.sql.engine import open_engine, parse_url
from tests.waiting import eventually


@pytest.mark.parametrize("many", [False, True])
def test_a_session_that_is_idle_in_a_transaction_is_ended_by_the_server(fresh_postgres_url: str, many: bool) -> None:
    """Whatever it has done last: a frozen node must not keep others from its operation."""
    engine, _ = open_engine(parse_url(fresh_postgres_url), idle_ms=200)
    watcher = create_engine(parse_url(fresh_postgres_url))
    rows = [{"a": 1}, {"a": 2}] if many else [{"a": 1}]
    connection = engine.connect()
    connection.execute(text("CREATE TABLE t (a int)"))
    pid = connection.scalar(text("SELECT pg_backend_pid()"))
    connection.execute(text("INSERT INTO t VALUES (:a)"), rows)

    def is_gone() -> bool:
        with watcher.connect() as other:
            return not other.scalar(text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid"), {"pid": pid})

    eventually(is_gone, what="the server has ended the session")
    connection.invalidate()
    engine.dispose()
    watcher.dispose()


@pytest.mark.parametrize(("idle_ms", "kept"), [(3_000, "3s"), (60_000, "30s")])
def test_no_transaction_waits_longer_for_a_silent_process_than_its_lease_nor_than_half_a_minute(
    fresh_postgres_url: str, idle_ms: int, kept: str
) -> None:
    engine, _ = open_engine(parse_url(fresh_postgres_url), idle_ms)
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW idle_in_transaction_session_timeout")) == kept
    engine.dispose()
