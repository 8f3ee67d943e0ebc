"""The port `Wake`: new work is heard at once, from this process and from another, and never missed for good."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from domain.contracts import Wake
from storage.sql import open_database
from storage.sql.wake import SqliteWake
from tests.contract.sql_bench import Bench, FlippingSealer, accepted

#: A wait that is not ended by what it waits for outlasts the suite's own limit for a test.
LONG = 3600.0


@pytest.fixture
def wake(bench: Bench) -> Iterator[Wake]:
    opened = bench.database.wake()
    while opened.wait(0):
        pass
    yield opened
    opened.close()


def test_nothing_new_waits_for_the_whole_time(wake: Wake) -> None:
    began = time.monotonic()
    assert wake.wait(0.15) is False
    assert time.monotonic() - began >= 0.15


def test_work_that_another_connection_accepts_is_heard(bench: Bench, wake: Wake) -> None:
    other = open_database(bench.url, FlippingSealer())
    accepting = threading.Timer(0.1, lambda: other.inbox.accept([accepted("m1")]))
    accepting.start()
    assert wake.wait(LONG) is True
    accepting.join()
    other.close()


def test_work_that_came_before_the_wait_is_heard(bench: Bench, wake: Wake) -> None:
    bench.accept_one()
    assert wake.wait(LONG) is True


def test_an_end_is_heard_because_the_next_of_the_service_may_begin(bench: Bench, wake: Wake) -> None:
    claim = bench.running()
    while wake.wait(0.1):
        pass
    bench.succeed(claim)
    assert wake.wait(LONG) is True


def test_a_set_wakes_every_wait_of_the_process(bench: Bench, wake: Wake) -> None:
    other = bench.database.wake()
    while other.wait(0):
        pass
    wake.set()
    assert other.wait(LONG) is True
    assert wake.wait(LONG) is True
    other.close()


def test_closing_ends_a_wait(bench: Bench) -> None:
    """And a wait after it returns at once."""
    wake = bench.database.wake()
    while wake.wait(0):
        pass
    closing = threading.Timer(0.1, wake.close)
    closing.start()
    assert wake.wait(LONG) is False
    closing.join()
    assert wake.wait(LONG) is False


def test_closing_while_the_database_is_asked_ends_a_wait_without_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The close comes after the wait saw that it was open, and before it sees that the bell has rung."""
    with Bench.opened(f"sqlite:///{tmp_path}/backstay.db") as bench:
        wake = bench.database.wake()
        assert isinstance(wake, SqliteWake)
        while wake.wait(0):
            pass
        version, closing = wake._version, threading.Thread(target=wake.close)

        def closed_meanwhile() -> int:
            found = version()
            closing.start()
            assert wake._event.wait(LONG)
            return found

        monkeypatch.setattr(wake, "_version", closed_meanwhile)
        assert wake.wait(LONG) is False
        closing.join()


def test_listening_goes_on_after_the_server_cut_the_connection(fresh_postgres_url: str) -> None:
    with Bench.opened(fresh_postgres_url) as bench:
        wake = bench.database.wake()
        with bench.database._engine.connect() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert wake.wait(LONG) is True
        while wake.wait(0.2):
            pass
        bench.accept_one()
        assert wake.wait(LONG) is True
        wake.close()


def test_a_connection_with_a_high_number_is_heard_too(fresh_postgres_url: str) -> None:
    """As it is when the database restarts while restores have a thousand files open, which select(2) cannot take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("fewer than 2048 files may be open here")
    with Bench.opened(fresh_postgres_url) as bench, ExitStack() as closing:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
        closing.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for _ in range(1100):
            closing.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        wake = bench.database.wake()
        closing.callback(wake.close)
        while wake.wait(0):
            pass
        bench.accept_one()
        assert wake.wait(LONG) is True
