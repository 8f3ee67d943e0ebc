"""A process frozen in the middle of a write to SQLite: the others give up after a while and name it; none is harmed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from domain import failpoint
from domain.errors import DatabaseUnavailable
from storage.sql import fairlock, open_database, transactions
from tests.chaos.victim import freeze
from tests.command_line import CommandLine
from tests.contract.sql_bench import Bench, FlippingSealer, accepted
from tests.forking import fork
from tests.waiting import eventually


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its tables, made once for all of these."""
    path = tmp_path_factory.mktemp("migrated") / "t.db"
    with Bench.opened(f"sqlite:///{path}"):
        return path


@pytest.fixture
def url(migrated: Path, tmp_path: Path) -> str:
    shutil.copy(migrated, tmp_path / "t.db")
    return f"sqlite:///{tmp_path}/t.db"


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fairlock, "TURN_SECONDS", 0.2)
    monkeypatch.setattr(fairlock, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(transactions, "FAILING_SECONDS", 0.0)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From then on a turn is waited for however busy the machine is."""
    return lambda: monkeypatch.setattr(fairlock, "TURN_SECONDS", 60.0)


class Children:
    """Forked writers of this test, none of which outlives it."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def writer(self, url: str, message: str, at: str = "", strike: Callable[[], None] = freeze) -> int:
        """A process that accepts one message, and strikes itself at that failpoint."""
        pid = fork()
        if pid == 0:
            code = 1
            with suppress(BaseException):
                failpoint.hook = lambda name: strike() if name == at else None
                open_database(url, FlippingSealer()).inbox.accept([accepted(message, message)])
                code = 0
            os._exit(code)
        self.pids.append(pid)
        return pid

    def frozen(self, url: str, at: str = "accept.before-commit") -> int:
        """One that is frozen there, with its message in hand."""
        pid = self.writer(url, "frozen", at)
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        return pid

    def ended(self, pid: int) -> int:
        """Its exit code."""
        self.pids.remove(pid)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def children() -> Iterator[Children]:
    made = Children()
    yield made
    for pid in made.pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def messages(bench: Bench) -> list[str]:
    return sorted(operation.message_id for operation in bench.database.list_operations())


def test_a_writer_behind_a_frozen_one_gives_up_and_names_it(url: str, children: Children) -> None:
    with Bench.opened(url) as bench:
        pid = children.frozen(url)
        with pytest.raises(DatabaseUnavailable, match=rf"process {pid} \(.*, which is stopped\) has held") as raised:
            bench.accept(accepted("late", "late"))
        assert f"kill -CONT {pid}" in raised.value.next_step
        assert f"kill -9 {pid}" in raised.value.next_step
        assert messages(bench) == []  # readers are not kept waiting, and see nothing that is not committed


def test_health_tells_who_keeps_this_process_from_writing_until_it_can_write(
    url: str, children: Children, patience: Callable[[], None]
) -> None:
    with Bench.opened(url) as bench:
        bench.database.round_trip()
        pid = children.frozen(url)
        bench.database.round_trip()  # nobody has waited in vain yet
        with pytest.raises(DatabaseUnavailable):
            bench.accept(accepted("late", "late"))
        with pytest.raises(DatabaseUnavailable, match=f"process {pid}"):
            bench.database.round_trip()
        patience()
        os.kill(pid, signal.SIGCONT)
        assert children.ended(pid) == 0
        bench.accept(accepted("late", "late"))
        bench.database.round_trip()


def test_one_that_wakes_up_finishes_its_write_and_the_others_go_on(
    url: str, children: Children, patience: Callable[[], None]
) -> None:
    with Bench.opened(url) as bench:
        pid = children.frozen(url)
        for _ in range(3):  # each goes on waiting where the one before has given up
            with pytest.raises(DatabaseUnavailable):
                bench.accept(accepted("late", "late"))
        patience()
        os.kill(pid, signal.SIGCONT)
        assert children.ended(pid) == 0
        # The turn that came when nobody here wanted it any more has been given back.
        assert children.ended(children.writer(url, "third")) == 0
        bench.accept(accepted("late", "late"))
        assert messages(bench) == ["frozen", "late", "third"]


def test_one_that_is_killed_instead_has_written_nothing(
    url: str, children: Children, patience: Callable[[], None]
) -> None:
    with Bench.opened(url) as bench:
        pid = children.frozen(url)
        with pytest.raises(DatabaseUnavailable):
            bench.accept(accepted("late", "late"))
        patience()
        os.kill(pid, signal.SIGKILL)
        assert children.ended(pid) == -signal.SIGKILL
        bench.accept(accepted("late", "late"))
        assert messages(bench) == ["late"]


def test_a_lock_file_that_was_removed_under_a_frozen_one_harms_nobody(
    url: str, children: Children, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience: Callable[[], None]
) -> None:
    """SQLite's own lock still stands between the two."""
    monkeypatch.setattr("storage.sql.engine.BUSY_TIMEOUT_MS", 200)
    with Bench.opened(url) as bench:
        pid = children.frozen(url)
        (tmp_path / "t.db.lock").unlink()
        other = open_database(url, FlippingSealer())
        with pytest.raises(DatabaseUnavailable, match="database is locked"):
            other.inbox.accept([accepted("late", "late")])
        patience()
        os.kill(pid, signal.SIGCONT)
        assert children.ended(pid) == 0
        other.inbox.accept([accepted("late", "late")])
        other.close()
        assert messages(bench) == ["frozen", "late"]


def test_who_waits_in_time_gets_its_turn(url: str, children: Children, patience: Callable[[], None]) -> None:
    patience()
    with Bench.opened(url) as bench:
        pid = children.frozen(url)
        waiting = children.writer(url, "waiting")
        eventually(lambda: _waits(waiting), what="it waits in the kernel's queue")
        os.kill(pid, signal.SIGCONT)
        assert (children.ended(pid), children.ended(waiting)) == (0, 0)
        assert messages(bench) == ["frozen", "waiting"]


def _waits(pid: int) -> bool:
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any(line[1:3] == ["->", "FLOCK"] and line[5] == str(pid) for line in lines)


def test_doctor_says_who_keeps_the_database_from_being_written(
    tmp_path: Path, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli = CommandLine(tmp_path / "data", monkeypatch)
    assert cli.run("migrate").code == 0
    pid = children.frozen(f"sqlite:///{cli.data_dir}/backstay.db")
    checks = cli.run("doctor", "--json").document()["checks"]
    (found,) = [one for one in checks if one["name"] == "database"]
    assert found["verdict"] == "fail"
    assert f"process {pid}" in found["detail"]
    assert f"kill -CONT {pid}" in found["next_step"]
