"""Real `backstay worker` processes under proof: started, killed, frozen, and their memory and files watched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

#: Seconds in which a process fills its caches, and for which it must then have been looked at to be judged.
WARM_SECONDS, LEAST_SECONDS = 60.0, 300.0
#: Lines of its log that are told of a process which has ended by itself.
LAST_LINES = 5
#: What a node writes when it has all that it needs to begin.
READY = "node.started"


class Node:
    """One node; whoever kills it starts it again, and what ends by itself is a death that is told."""

    def __init__(
        self, name: str, environment: dict[str, str], log: Path, prefix: Sequence[str] = (), options: Sequence[str] = ()
    ) -> None:
        """`prefix`: what its command line begins with, to run it somewhere else; `options` of `backstay worker`."""
        self.name, self._log, self._prefix, self._options = name, log, prefix, options
        self._environment = {**os.environ, **environment, "BACKSTAY_NODE": name, "BACKSTAY_HTTP": "127.0.0.1:0"}
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0  # how long the log was when the present process was started
        self.most_memory, self.most_files = 0, 0
        self.deaths: list[str] = []  # a sentence for each end that nobody ordered
        self._looks: list[tuple[float, int, int]] = []  # of the present process: when, files, KiB

    def start(self) -> None:
        """Start it; does nothing while it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        self._note_death()
        self._looks = []
        with self._log.open("ab") as log:
            self._began = log.tell()
            command = [*self._prefix, sys.executable, "-m", "workers", "worker", *self._options]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL, and its children too, as a power cut would; waits until it is gone; nothing if none was started."""
        if self._process is None:
            return
        family = self._family()
        self._process.kill()
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._process.wait() != -signal.SIGKILL or not family:
            self._note_death()
        self._process = None

    def ready(self) -> bool:
        """Whether the present process has come so far that it needs no server any more to go on."""
        return bool(self._family()) and READY in self._said()

    def freeze(self) -> None:
        """SIGSTOP to all of it."""
        for pid in self._family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT to all of it."""
        for pid in self._family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def look(self) -> None:
        """Note what it holds at the moment."""
        files = memory = 0
        for pid in self._family():
            with suppress(OSError, StopIteration):
                files += len(os.listdir(f"/proc/{pid}/fd"))
                status = Path(f"/proc/{pid}/status").read_text().splitlines()
                memory += int(next(line for line in status if line.startswith("VmRSS")).split()[1])
        self.seen(time.monotonic(), files, memory)

    def seen(self, at: float, files: int, memory: int) -> None:
        """At that time it held so many files and KiB."""
        self._looks.append((at, files, memory))
        self.most_files, self.most_memory = max(self.most_files, files), max(self.most_memory, memory)

    @property
    def judged(self) -> float:
        """Seconds over which it can be told whether the last process holds ever more; 0 when it was looked at for too
        short a time."""
        watched = self._looks[-1][0] - self._looks[0][0] - WARM_SECONDS if self._looks else 0.0
        return watched if watched >= LEAST_SECONDS else 0.0

    def grows(self) -> list[str]:
        """What the last process holds ever more of, from the first third of its looks to the last; nothing where that
        was not judged."""
        if not self.judged:
            return []
        looks = [(files, memory) for at, files, memory in self._looks if at > self._looks[0][0] + WARM_SECONDS]
        third, bad = len(looks) // 3, []
        for number, (what, share, more) in enumerate((("files", 1.0, 20), ("KiB of memory", 1.25, 20_000))):
            first, last = (median(look[number] for look in some) for some in (looks[:third], looks[-third:]))
            if last > share * first + more:
                bad.append(f"{self.name} holds ever more {what}: {first:.0f} at first, {last:.0f} in the end")
        return bad

    def _note_death(self) -> None:
        if self._process is None:
            return
        code, said = self._process.returncode, self._said().splitlines()[-LAST_LINES:]
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        self.deaths.append(f"{self.name} ended by itself ({how}), and its log by: {' / '.join(said) or 'nothing'}")
        self._process = None

    def _said(self) -> str:
        """What the present process has written."""
        with self._log.open("rb") as log:
            log.seek(self._began)
            return log.read().decode(errors="replace")

    def _family(self) -> list[int]:
        if self._process is None or self._process.poll() is not None:
            return []
        found, waiting = [], [self._process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with suppress(OSError):
                    waiting += map(int, task.read_text().split())
        return found
