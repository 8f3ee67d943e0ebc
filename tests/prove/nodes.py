"""Real `backstay worker` processes under proof: started, killed, frozen, and their memory and files watched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


class Node:
    """One node; whoever kills it starts it again."""

    def __init__(
        self, name: str, environment: dict[str, str], log: Path, prefix: Sequence[str] = (), options: Sequence[str] = ()
    ) -> None:
        """`prefix`: what its command line begins with, to run it somewhere else; `options` of `backstay worker`."""
        self.name, self._log, self._prefix, self._options = name, log, prefix, options
        self._environment = {**os.environ, **environment, "BACKSTAY_NODE": name, "BACKSTAY_HTTP": "127.0.0.1:0"}
        self._process: subprocess.Popen[bytes] | None = None
        self.most_memory, self.most_files = 0, 0
        self.files: list[int] = []  # of the present process, from look to look

    def start(self) -> None:
        """Start it; does nothing while it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        self.files = []
        with self._log.open("ab") as log:
            command = [*self._prefix, sys.executable, "-m", "workers", "worker", *self._options]
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """SIGKILL, and its children too, as a power cut would; waits until it is gone."""
        assert self._process is not None
        family = self._family()
        self._process.kill()
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()

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
        self.files.append(files)
        self.most_files, self.most_memory = max(self.most_files, files), max(self.most_memory, memory)

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
