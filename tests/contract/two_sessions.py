"""Two sessions of one database, the first of them stopped where the second has to meet it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from domain import failpoint
from tests.contract.sql_bench import Bench
from tests.waiting import eventually

WAITS_FOR_A_LOCK = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def stopped_before(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The first thread that comes to the failpoint stays there; (it is there, let it go on)."""
    there, go_on = threading.Event(), threading.Event()

    def hook(reached: str) -> None:
        if reached == name and not there.is_set():
            there.set()
            assert go_on.wait(30)

    monkeypatch.setattr(failpoint, "hook", hook)
    try:
        yield there, go_on
    finally:
        go_on.set()


def waits(bench: Bench, future: Future[Any]) -> None:
    """The other session has come to the lock. SQLite lets a second writer not even begin: nothing to see there."""
    if bench.database._engine.dialect.name != "postgresql":
        return

    def at_the_lock() -> bool:
        assert not future.done()
        with bench.database._engine.connect() as connection:
            return bool(connection.scalar(WAITS_FOR_A_LOCK))

    eventually(at_the_lock, what="the second session waits for a lock")
