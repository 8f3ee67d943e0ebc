"""The previous release as a test holds it: its wheel unpacked, and one process that answers requests.

Apart from `inside.py`, which runs in that process and sees the other release's packages only.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WHEEL = Path(__file__).parents[1] / "golden" / "backstay_worker-0.1.0-py3-none-any.whl"
INSIDE = Path(__file__).with_name("inside.py")


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the previous release."""

    previous: Previous
    pid: int
    log: Path

    def ended(self) -> int:
        """Wait for its end; its exit code, or the signal below zero."""
        return int(self.previous.ask("wait", pid=self.pid)["code"])

    def kill(self) -> None:
        """As power cuts and the kernel do."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.ended() == -signal.SIGKILL

    def stop(self) -> int:
        """As a service manager stops it."""
        os.kill(self.pid, signal.SIGTERM)
        return self.ended()


class Previous:
    """One process of the previous release. Everything that it started ends with `close`."""

    def __init__(self, folder: Path) -> None:
        """`folder` is empty and takes the unpacked wheel and the logs."""
        self._folder, self._count = folder, 0
        with zipfile.ZipFile(WHEEL) as archive:
            archive.extractall(folder / "installed")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("BACKSTAY_", "PYTHON"))}
        environ |= {"PYTHONPATH": str(folder / "installed"), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, str(INSIDE)],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """One request and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the process of the previous release has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def node(self, environ: Mapping[str, str], death: tuple[str, int] | None = None, http: str | None = None) -> Node:
        """Start a node; it is killed at `death`, a failpoint and how often it is reached."""
        log = self._log()
        answer = self.ask("node", environ=dict(environ), death=death and list(death), http=http, log=str(log))
        return Node(self, int(answer["pid"]), log)

    def command(self, environ: Mapping[str, str], *arguments: str) -> tuple[int, str]:
        """Run `backstay ARGUMENTS`; exit code and what it printed."""
        log = self._log()
        started = self.ask("command", environ=dict(environ), arguments=list(arguments), log=str(log))
        return int(self.ask("wait", pid=started["pid"])["code"]), log.read_text()

    def close(self) -> None:
        """End the process and whatever it has started and nobody has stopped."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def _log(self) -> Path:
        self._count += 1
        return self._folder / f"{self._count}.log"
