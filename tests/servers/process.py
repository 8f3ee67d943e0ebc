"""One server process: started, watched, stopped, killed.

Apart from the servers, which only say what to run. A process is bound to ours by the kernel (`setpriv --pdeathsig`),
so that a killed test run leaves none behind; kill() also takes the descendants that made sessions of their own.
The kernel binds it to the starting *thread*, and only once setpriv runs, a few milliseconds after start(): start
servers from a thread that outlives them, as pytest's does.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import eventually

REQUIRE_SERVERS = "BACKSTAY_REQUIRE_SERVERS"


class ServerFailed(Exception):
    """A server ended or refused to start. The message holds the end of its log."""


def need(package: str, *programs: str) -> None:
    """Skip the test unless every program (a name on PATH, or a path) is installed; fail where servers are required."""
    missing = [program for program in ("setpriv", *programs) if shutil.which(program) is None]
    if not missing:
        return
    reason = f"{', '.join(missing)} not found: apt-get install {package} util-linux"
    if os.environ.get(REQUIRE_SERVERS) == "1":
        pytest.fail(f"{reason} ({REQUIRE_SERVERS}=1 makes this a failure)")
    pytest.skip(reason)


def run(argv: Sequence[str | Path], log: Path, *, user: str | None = None) -> str:
    """Run a preparing command to its end and return its output; ServerFailed with its complaint otherwise."""
    with log.open("ab") as errors:
        done = subprocess.run(
            [*_as_user(user), *map(str, argv)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=clean_environment(),
            cwd="/",
            text=True,
            timeout=180,
            check=False,  # the exception below also has the log
        )
    if done.returncode:
        raise ServerFailed(f"{argv[0]} ended with {done.returncode}.\n{done.stdout}{tail(log)}")
    return done.stdout


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a server sees: a path and a locale, nothing of the virtual environment or of the tester's settings."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        **(extra or {}),
    }


def tail(log: Path, lines: int = 25) -> str:
    """The end of a log, for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else f"(no log {log})"


@dataclass(slots=True)
class Process:
    """One program in the foreground, a child of ours. `stop_signal` asks it for an orderly end."""

    argv: Sequence[str | Path]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    #: What the kernel sends when the test process is gone. SIGKILL unless that would leave shared memory behind.
    orphan_signal: signal.Signals = signal.SIGKILL
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    _popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The id of the running process, None when there is none."""
        return self._popen.pid if self._popen is not None and self._popen.poll() is None else None

    def start(self) -> None:
        """Start it; does nothing when it runs already."""
        if self.pid is not None:
            return
        orphan = ["setpriv", "--pdeathsig", self.orphan_signal.name.removeprefix("SIG"), *_identity(self.user)]
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*orphan, *map(str, self.argv)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=clean_environment(self.environment),
                cwd=self.log.parent,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for `ready`; ServerFailed at once, with the log, when the process ends before that."""

        def ready_or_dead() -> bool:
            if self.pid is None:
                raise ServerFailed(f"ended before {what}:\n{tail(self.log)}")
            return ready()

        eventually(ready_or_dead, seconds, what)

    def stop(self, seconds: float = 20.0) -> None:
        """Ask it to end and wait; kill it when it does not. Does nothing when it is not running."""
        if self._popen is None or self.pid is None:
            return
        self._popen.send_signal(self.stop_signal)
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL it and all its descendants, and wait until they are gone: a power cut as far as it can tell."""
        pid = self.pid
        if self._popen is None or pid is None:
            return
        family = _descendants(pid)
        self._popen.kill()
        for member in family:
            _send(member, signal.SIGKILL)
        self._popen.wait()
        eventually(lambda: not any(map(_is_alive, family)), 60, f"the processes below {self.argv[0]} are gone")

    def pause(self) -> None:
        """Freeze it: connections stay open and nobody answers."""
        self._signal_running(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again after pause()."""
        self._signal_running(signal.SIGCONT)

    def _signal_running(self, number: signal.Signals) -> None:
        if self._popen is None or self.pid is None:
            raise ServerFailed(f"{self.argv[0]} is not running")
        self._popen.send_signal(number)


def _identity(user: str | None) -> list[str]:
    """The options of setpriv that change to `user`; none unless we are root."""
    if user is None or os.geteuid() != 0:
        return []
    account = pwd.getpwnam(user)
    return [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


def _as_user(user: str | None) -> list[str]:
    identity = _identity(user)
    return ["setpriv", *identity] if identity else []


def _descendants(pid: int) -> list[int]:
    children = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children += [int(child) for child in task.read_text().split()]
        except OSError:  # the thread ended while we looked
            continue
    return children + [below for child in children for below in _descendants(child)]


def _send(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_alive(pid: int) -> bool:
    """A zombie is dead: it waits only for whoever adopted it to take notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
