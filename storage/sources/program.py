"""A program of the node's configuration: started without a shell, watched, and never left behind.

Apart from what is done with its bytes. It sees a small environment of its own, because this process has keys in its;
of what it says on standard error the end is kept. It leads a process group, which is killed as a whole when it takes
too long or when the work is stopped. An exit code of 75 (EX_TEMPFAIL of sysexits.h) asks to be run again later.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from domain.errors import Refused, SourceInterrupted, SourceUnavailable

TRY_AGAIN = os.EX_TEMPFAIL
#: Where programs are looked for that are named without their folder.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Seconds between looks whether the work may go on.
LOOK_EVERY = 0.5
#: Characters of standard error that are told.
MOST_SAID = 300
_BY_HAND = "run the program by hand as the worker's user, mend it, and publish the command again"
#: Bytes of standard error that lie on the disk at most, about; what is older is let go.
MOST_KEPT = 16 << 20


class Program:
    """One run. `close` is to be called whatever happens."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        seconds: float,
        *,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        keep_open: Sequence[int] = (),
    ) -> None:
        """Start it; it may run for so many seconds. `keep_open`: files that it inherits."""
        self._name, self._ends, self._seconds = name, time.monotonic() + seconds, seconds
        self._former = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        try:
            self._process = subprocess.Popen(
                list(arguments),
                stdin=stdin,
                stdout=stdout,
                stderr=self._errors,
                env={"PATH": PATH, **environment},
                cwd="/",
                start_new_session=True,
                pass_fds=tuple(keep_open),
            )
        except OSError as error:
            self._errors.close()
            raise Refused(
                f"{name} could not be started: {error.strerror}",
                code="source-failed",
                next_step=f"install {arguments[0]} on the node, or correct its configuration and restart it; "
                "then ask again",
            ) from error

    def fill(self, view: memoryview, check: Callable[[], None]) -> int:
        """Read its output into the buffer; fewer bytes only when it has ended its output."""
        assert self._process.stdout is not None
        handle, done = self._process.stdout.fileno(), 0
        poll = select.poll()
        poll.register(handle, select.POLLIN | select.POLLHUP)
        while done < len(view):
            check()
            self._mind()
            if not poll.poll(LOOK_EVERY * 1000):
                continue
            found = os.readv(handle, [view[done:]])
            if not found:
                break
            done += found
        return done

    def wait(self, check: Callable[[], None]) -> None:
        """Wait for its end; Refused or SourceUnavailable unless the exit code is 0."""
        while True:
            try:
                code = self._process.wait(LOOK_EVERY)
                break
            except subprocess.TimeoutExpired:
                check()
                self._mind()
        if code == TRY_AGAIN:
            raise SourceUnavailable(f"{self._name} asks to be run again later{self._said()}")
        if code < 0:
            raise self._interrupted(f"was ended by signal {signal.Signals(-code).name}")
        if code:
            raise Refused(
                f"{self._name} ended with code {code}{self._said()}", code="source-failed", next_step=_BY_HAND
            )

    def close(self) -> None:
        """Kill what still runs of it."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _mind(self) -> None:
        """What may grow without end: its time, and what it says."""
        handle = self._errors.fileno()
        if os.fstat(handle).st_blocks * 512 > MOST_KEPT:
            self._former = self._tail()
            os.ftruncate(handle, 0)  # it writes on where it was, behind a hole
        if time.monotonic() > self._ends:
            raise self._interrupted(f"did not end within {self._seconds:g} s")

    def _interrupted(self, how: str) -> SourceInterrupted:
        return SourceInterrupted(f"{self._name} {how}{self._said()}", code="source-interrupted", next_step=_BY_HAND)

    def _tail(self) -> bytes:
        # With an offset of our own: the program shares that of the file.
        handle, most = self._errors.fileno(), 4 * MOST_SAID
        last = os.pread(handle, most, max(0, os.fstat(handle).st_size - most)).replace(b"\0", b"")
        return (self._former + last)[-most:]

    def _said(self) -> str:
        text = self._tail().decode("utf-8", "replace").strip()
        shown = "".join(c if c.isprintable() else " " for c in text)[-MOST_SAID:]
        return f": {shown}" if shown else ""


@contextmanager
def running(*arguments: object, **options: object) -> Iterator[Program]:
    """A program that is gone when the block is left."""
    program = Program(*arguments, **options)  # type: ignore[arg-type]
    try:
        yield program
    finally:
        program.close()
