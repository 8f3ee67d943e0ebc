"""No error of a driver leaves the package: it is DatabaseUnavailable, or it says that it is a bug."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from domain import failpoint
from domain.errors import DatabaseUnavailable
from storage.sql import open_database, transactions
from tests.contract.sql_bench import Bench, FlippingSealer, accepted


def test_a_round_trip_succeeds_on_a_database_that_answers(bench: Bench) -> None:
    bench.database.round_trip()


def test_a_database_without_tables_is_unavailable_and_says_why(database_url: str) -> None:
    database = open_database(database_url, FlippingSealer())
    with pytest.raises(DatabaseUnavailable, match="another schema") as raised:
        database.inbox.backlog()
    assert "backstay migrate" in raised.value.next_step
    database.close()


def test_a_server_that_is_not_there_is_unavailable() -> None:
    database = open_database("postgresql://nobody@127.0.0.1:1/none", FlippingSealer())
    with pytest.raises(DatabaseUnavailable):
        database.round_trip()


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/none/t.db", FlippingSealer())
    with pytest.raises(DatabaseUnavailable):
        database.round_trip()
    with pytest.raises(DatabaseUnavailable):
        database.inbox.accept([accepted("m1")])


def test_a_file_that_is_no_database_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "t.db").write_bytes(b"not a database, certainly not" * 100)
    database = open_database(f"sqlite:///{tmp_path}/t.db", FlippingSealer())
    with pytest.raises(RuntimeError, match="not a database"):
        database.round_trip()


def test_a_wrong_statement_is_called_a_bug(bench: Bench) -> None:
    with pytest.raises(RuntimeError, match="rejected a statement"), bench.database._tx.read() as connection:
        connection.execute(text("SELEC 1"))


def test_a_cut_connection_is_unavailable_once_and_then_heals(fresh_postgres_url: str) -> None:
    with Bench.opened(fresh_postgres_url) as bench:
        with pytest.raises(DatabaseUnavailable), bench.database._tx.write("test") as connection:
            connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        bench.database.round_trip()


def test_a_commit_whose_answer_was_lost_may_be_repeated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is durable; accepting it again answers `duplicate`, with the same operation."""

    def lose(name: str) -> None:
        if name == "accept.after-commit":
            raise DatabaseUnavailable("the answer was lost")

    monkeypatch.setattr(failpoint, "hook", lose)
    with pytest.raises(DatabaseUnavailable):
        bench.accept(accepted("m1"))
    monkeypatch.undo()
    (receipt,) = bench.accept(accepted("m1"))
    assert receipt.status == "duplicate"
    assert bench.database.inbox.backlog() == 1


def test_a_failure_before_the_commit_writes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        if name == "accept.before-commit":
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoint, "hook", fail)
    with pytest.raises(KeyboardInterrupt):
        bench.accept(accepted("m1"))
    monkeypatch.undo()
    assert bench.database.inbox.backlog() == 0
    assert bench.accept(accepted("m1"))[0].status == "accepted"


def test_writers_of_one_process_take_turns(bench: Bench) -> None:
    """No write fails because another thread is writing."""
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for n in range(10):
                bench.database.inbox.accept([accepted(f"{number}-{n}", f"s{number}")])
        except BaseException as error:  # noqa: BLE001 - a thread's failure must reach the test
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert bench.database.inbox.backlog() == 60


def test_a_full_disk_under_sqlite_is_named_and_makes_the_process_unready_until_a_write_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Bench.opened(f"sqlite:///{tmp_path}/t.db") as bench:
        engine = bench.database._engine
        with engine.connect() as connection:  # the pool gives this connection out again
            most = connection.exec_driver_sql("PRAGMA max_page_count").scalar()
            connection.exec_driver_sql("PRAGMA max_page_count=1")
        with pytest.raises(DatabaseUnavailable, match=rf"{tmp_path}/t.db cannot be used: .*full") as raised:
            bench.accept(*(accepted(f"m{number}", data={"text": "x" * 4000}) for number in range(20)))
        assert "`df -i`" in raised.value.next_step
        bench.database.round_trip()  # one failure may pass
        monkeypatch.setattr(transactions, "FAILING_SECONDS", 0.0)
        with pytest.raises(DatabaseUnavailable, match="full"):
            bench.database.round_trip()
        monkeypatch.setattr(transactions, "STALE_SECONDS", 0.0)
        bench.database.round_trip()  # who never writes again must not stay unready for ever
        monkeypatch.setattr(transactions, "STALE_SECONDS", 30.0)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count={most}")
        bench.accept_one("later")
        bench.database.round_trip()


def test_a_failure_of_this_morning_does_not_take_the_grace_from_one_of_this_afternoon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that wrote nothing in between does not know that it could not have."""
    moment = 1000.0
    monkeypatch.setattr(transactions, "time", SimpleNamespace(monotonic=lambda: moment))
    with Bench.opened(f"sqlite:///{tmp_path}/t.db") as bench:

        def fail() -> None:
            with pytest.raises(DatabaseUnavailable), bench.database._tx.write("test"):
                raise DatabaseUnavailable("away")

        fail()
        moment += 6 * 3600
        fail()
        bench.database._tx.check_writes()
        moment += transactions.FAILING_SECONDS + 1
        fail()  # and again, with nothing good in between
        with pytest.raises(DatabaseUnavailable, match="away"):
            bench.database._tx.check_writes()


def test_sqlite_is_durable_on_every_commit(tmp_path: Path) -> None:
    with Bench.opened(f"sqlite:///{tmp_path}/t.db") as bench, bench.database._engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}
    assert sqlite3.sqlite_version_info >= (3, 35)
