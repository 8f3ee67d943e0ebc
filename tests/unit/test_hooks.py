"""The programs around the work: what stops the one that wakes a service, what does not, and which two never meet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from pathlib import Path

import pytest

from domain.errors import LeaseLost, SourceUnavailable
from domain.service import Service
from domain.source import HookSettings
from storage.flock import taken
from storage.sources import hooks as hooks_module
from storage.sources import program
from storage.sources.guard import guarded
from storage.sources.hooks import NodeHooks
from tests.waiting import eventually

WEB = Service("web", "acme", "web", "web")
SHOP = Service("shop", "acme", "shop", "shop")


class Watch:
    """Raises what it is told to, each time that the lease is to be kept, and lets everything else go on."""

    def __init__(self, answers: Iterator[Exception | None] | None = None) -> None:
        self._answers = answers or repeat(None)
        self.stays = False

    def keep(self, seconds: float) -> None:
        assert self.stays, "a process that stops would give the operation back"
        if (answer := next(self._answers)) is not None:
            raise answer

    def staying(self) -> AbstractContextManager[None]:
        self.stays = True
        return nullcontext()

    def check(self) -> None: ...

    def insist(self) -> None: ...

    def advance(self, bytes_done: int = 0, files_done: int = 0) -> None: ...

    def expect(self, bytes_total: int, files_total: int) -> None: ...


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "LOOK_EVERY", 0.01)


@pytest.fixture
def locks(tmp_path: Path) -> Path:
    return tmp_path / "locks"


def hooks(locks: Path, *words: str, before: tuple[str, ...] = (), seconds: float = 60.0) -> NodeHooks:
    settings = HookSettings(before_restore=before, after_restore=words, seconds=seconds)
    return NodeHooks(settings, lambda service: "/", str(locks))


def is_held(locks: Path, service: Service = WEB) -> bool:
    """Whether the next hook of the service would wait."""
    with (locks / "hooks" / f"{service.service_id}.lock").open() as file:
        return not taken(file.fileno(), 0.0)


class Held:
    """A hook of service web that ends when it is let go; whoever ran it waits in a thread."""

    def __init__(self, locks: Path, tmp_path: Path) -> None:
        self._gate, self.said = tmp_path / "gate", tmp_path / "said"
        self.script = f"echo waking >> {self.said}; while [ ! -e {self._gate} ]; do sleep 0.01; done; "
        self.script += f"echo awake >> {self.said}"
        run = hooks(locks, "sh", "-c", self.script).after
        self._thread = threading.Thread(target=run, args=("restore", WEB, Watch()))
        self._thread.start()
        eventually(self.said.exists, what="it runs")

    def let_go(self) -> None:
        self._gate.touch()

    def end(self) -> None:
        self.let_go()
        self._thread.join()


@pytest.fixture
def held(locks: Path, tmp_path: Path) -> Iterator[Held]:
    made = Held(locks, tmp_path)
    yield made
    made.end()


def test_who_loses_the_lease_meanwhile_stops_waking_and_leaves_it_to_the_next(tmp_path: Path, locks: Path) -> None:
    """I7: that one may be replacing what the service would run on."""
    begun = tmp_path / "begun"

    def answers() -> Iterator[Exception | None]:
        yield None
        while not begun.exists() or not begun.read_text():
            yield None
        yield LeaseLost("another holds it")

    with pytest.raises(LeaseLost):
        hooks(locks, "sh", "-c", f"echo $$ > {begun}; exec sleep 600").after("restore", WEB, Watch(answers()))
    process = int(begun.read_text())
    eventually(lambda: not os.path.exists(f"/proc/{process}"), what="the program is gone")
    assert not is_held(locks)


@pytest.fixture
def looks_only_before(monkeypatch: pytest.MonkeyPatch, looks_often: None) -> None:
    """Nobody looks at the lease while a program runs."""
    monkeypatch.setattr(program, "LOOK_EVERY", 3600.0)


@pytest.mark.usefixtures("looks_only_before")
def test_who_was_frozen_and_has_lost_the_lease_does_not_begin_to_wake(tmp_path: Path, locks: Path) -> None:
    begun = tmp_path / "begun"
    with pytest.raises(LeaseLost):
        hooks(locks, "touch", str(begun)).after("restore", WEB, Watch(iter([LeaseLost("another holds it")])))
    assert not begun.exists()


@pytest.mark.usefixtures("looks_only_before")
def test_whoever_has_waited_for_another_hook_asks_once_more_for_its_lease(held: Held, locks: Path) -> None:
    """Whose lease ends while it waits would wake the service under its successor."""

    def answers() -> Iterator[Exception | None]:
        while "awake" not in held.said.read_text():
            held.let_go()
            yield None
        yield LeaseLost("another holds it")

    with pytest.raises(LeaseLost):
        hooks(locks, "sh", "-c", f"echo again >> {held.said}").after("restore", WEB, Watch(answers()))
    assert held.said.read_text().split() == ["waking", "awake"]


class Waits(Watch):
    """Lets the hook go that it is asked to wait for."""

    def __init__(self, held: Held) -> None:
        super().__init__()
        self._held, self.asked = held, 0

    def check(self) -> None:
        self.asked += 1
        self._held.let_go()


@pytest.mark.parametrize("rests", [True, False])
def test_a_hook_that_still_runs_is_waited_for_also_where_nothing_is_put_to_rest(
    held: Held, locks: Path, rests: bool
) -> None:
    """I7: what follows would replace what the service is being started on."""
    watch = Waits(held)
    before = ("sh", "-c", f"echo resting >> {held.said}") if rests else ()
    hooks(locks, "true", before=before).before("restore", WEB, watch)
    assert watch.asked >= 2
    assert held.said.read_text().split() == ["waking", "awake"] + ["resting"] * rests


def test_a_hook_of_another_service_waits_for_nobody(held: Held, locks: Path) -> None:
    said = held.said
    hooks(locks, before=("sh", "-c", f"echo resting >> {said}")).before("restore", SHOP, Watch())
    assert said.read_text().split() == ["waking", "resting"]


def test_a_hook_that_does_not_end_is_waited_for_no_longer_than_it_may_run(
    held: Held, locks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks_module, "GRACE", 0.0)
    with pytest.raises(SourceUnavailable, match="an earlier hook of the same service still runs"):
        hooks(locks, before=("true",), seconds=0.01).before("restore", WEB, Watch())


def test_the_service_that_a_hook_starts_keeps_nobody_waiting(tmp_path: Path, locks: Path) -> None:
    """It inherits what the hook has open, and lives for years."""
    started = tmp_path / "started"
    assert hooks(locks, "sh", "-c", f"sleep 600 & echo $! > {started}").after("restore", WEB, Watch()) is None
    service = int(started.read_text())
    try:
        os.kill(service, 0)
        assert not is_held(locks)
    finally:
        os.kill(service, signal.SIGKILL)


def test_a_hook_that_closes_what_it_inherits_is_waited_for(tmp_path: Path, locks: Path) -> None:
    """As sudo does."""
    closed = tmp_path / "closed"
    closes = f"import os, time; os.closerange(3, 4096); open({str(closed)!r}, 'w').close(); time.sleep(600)"

    def answers() -> Iterator[Exception | None]:
        while not closed.exists():
            yield None
        assert is_held(locks)
        yield LeaseLost("that is enough")

    with pytest.raises(LeaseLost):
        hooks(locks, sys.executable, "-c", closes).after("restore", WEB, Watch(answers()))


def test_a_hook_sees_what_is_said_about_its_environment_and_files_and_nothing_else(tmp_path: Path, locks: Path) -> None:
    found = tmp_path / "found"
    sees = f"import os; open({str(found)!r}, 'wb').write(open('/proc/self/environ', 'rb').read()"
    sees += " + ' '.join(os.listdir('/proc/self/fd')).encode())"
    assert hooks(locks, sys.executable, "-c", sees).after("restore", WEB, Watch()) is None
    *pairs, open_files = found.read_bytes().decode().split("\0")
    assert sorted(pair.partition("=")[0] for pair in pairs) == [
        "BACKSTAY_DIRECTORY", "BACKSTAY_SERVICE", "BACKSTAY_TENANT", "PATH",
    ]  # fmt: skip
    assert {"0", "1", "2"} <= set(open_files.split()) <= {"0", "1", "2", "3", "4"}, "with its own two"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("sh", "-c", "echo 'no such unit' >&2; exit 5"), "ended with code 5: no such unit"),
        (("sh", "-c", "exit 75"), "asks to be run again later"),
        (("sh", "-c", "kill -KILL $$"), "ended with code 137"),
        (("/nowhere/thaw",), "ended with code 127: /nowhere/thaw could not be started: No such file or directory"),
    ],
)
def test_how_a_hook_ended_is_told(words: tuple[str, ...], told: str, locks: Path) -> None:
    assert hooks(locks, *words).after("restore", WEB, Watch()) == f"the hook after_restore for service web {told}"


def test_a_hook_that_nobody_watches_any_more_is_ended_with_everything_that_it_started(
    tmp_path: Path,
) -> None:
    """Its worker is dead: whoever comes next waits no longer than it may run."""
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    try:
        command = guarded(["sh", "-c", "sleep 600; true"], {"PATH": program.PATH}, lock, 0.05)
        guard = subprocess.Popen(command, start_new_session=True, pass_fds=(lock,), stderr=subprocess.PIPE)
    finally:
        os.close(lock)
    _, errors = guard.communicate()  # until the last of them has closed it
    assert (guard.returncode, errors) == (-signal.SIGKILL, b"")
