"""Where the demo takes place: a directory, one node that can be killed, the command line, and a region.

Apart from the acts because both need the same: to publish as any other system would, to wait for what is
true, and to say it. Nothing is said before it has been checked; `NotTrue` ends the demo.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from domain.operation import TERMINAL, State
from workers.bootstrap import System
from workers.config import load
from workers.demo.region import HOME, Region

ENDED = TERMINAL | {State.STUCK}


class NotTrue(Exception):
    """Something that the demo claims did not hold."""


class Demo:
    """A data directory, one node and a region. `subject` is the service that commands are about."""

    def __init__(self, home: Path, console: Console, region: Region) -> None:
        self.home, self.console, self.region = home, console, region
        self.claims: list[str] = []
        self.subject = "tenant/acme/service/shop"
        self.environment = inherited() | {
            "BACKSTAY_DATA_DIR": str(home),
            "BACKSTAY_NODE": "demo-1",
            "BACKSTAY_LOG_LEVEL": "info",
            "BACKSTAY_REGIONS": json.dumps({"demo": region.settings()}),
        }
        self.settings = load(self.environment)
        self.node: subprocess.Popen[bytes] | None = None
        self.system = System(self.settings)

    # ------------------------------------------------------------ the node and the command line
    def start_node(self) -> None:
        """Start `backstay serve` and wait until it has made its schema."""
        with open(self.home / "serve.log", "ab") as log:
            self.node = subprocess.Popen(
                [sys.executable, "-m", "workers", "serve", "--http", "127.0.0.1:0"],
                env=self.environment,
                stderr=log,
                cwd=HOME,
            )
        self.wait_for(lambda: self.system.database.check_schema() is None, "the node did not start")

    def kill_node(self) -> None:
        """`kill -9`: no warning, no clean-up."""
        if self.node is not None:
            self.node.kill()
            self.node.wait()

    def stop_node(self) -> None:
        """SIGTERM, and the node must leave by itself."""
        if self.node is not None and self.node.poll() is None:
            self.node.send_signal(signal.SIGTERM)
            self.node.wait(timeout=30)

    def publish(self, kind: str, data: dict[str, Any]) -> str:
        """Publish as any other system would; the message id."""
        message_id = f"demo-{kind}-{time.time_ns()}"
        command = ["publish", kind, "--subject", self.subject, "--id", message_id, "--source", "/demo"]
        subprocess.run(
            [sys.executable, "-m", "workers", *command, "--data", json.dumps(data)],
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=HOME,
        )
        return message_id

    def tree(self, directory: str) -> Path:
        """The live directory of that name."""
        return self.home / "apps" / directory

    def outcome(self, message_id: str, label: str, expected: str = "succeeded") -> dict[str, Any]:
        """Follow the operation to its outcome, with a bar on a terminal; its outcome document."""
        done: dict[str, Any] = {}
        with self.bar() as bar:
            task = bar.add_task(label, total=None)

            def ended() -> bool:
                operation = self.system.database.find_by_message("/demo", message_id)
                if operation is None:
                    return False
                progress = operation.progress or {}
                bar.update(task, completed=progress.get("bytes_done", 0), total=progress.get("bytes_total"))
                if operation.state not in ENDED:
                    return False  # while it is put back, its outcome is still the reason for that
                done.update(operation.outcome or {})
                return True

            self.wait_for(ended, f"{label} did not end", seconds=300)
        if done["outcome"] != expected:
            raise NotTrue(f"{label} ended as {done['outcome']}: {done['sentence']}")
        if not done["complete"]:
            raise NotTrue(f"{label} left something out: {done['items']}")
        return done

    def bar(self) -> Progress:
        """A progress bar that exists on a terminal only."""
        columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        return Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal)

    def wait_for(self, condition: Callable[[], bool], otherwise: str, seconds: float = 60.0) -> float:
        """Poll until it holds; how long that took. NotTrue when it does not within `seconds`."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                raise NotTrue(f"{otherwise} within {seconds:.0f} s; see {self.home / 'serve.log'}")
            time.sleep(0.02)
        return time.monotonic() - began

    def say(self, text: str) -> None:
        """One line of the story."""
        self.claims.append(text)
        mark = "[green]✓[/]" if self.console.is_terminal else "ok "
        self.console.print(f"{mark} {text}", highlight=False, soft_wrap=True)


def inherited() -> dict[str, str]:
    """The environment without anything that configures Backstay."""
    ours = ("BACKSTAY_", "DATABASE_URL", "BROKER_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def digest(tree: Path) -> str:
    """One value for names, types, modes, times, links and contents of a whole tree, made without Backstay."""
    total = hashlib.sha256()
    for path in sorted(tree.rglob("*")):
        found = path.lstat()
        total.update(f"{path.relative_to(tree)}\0{found.st_mode:o}\0{found.st_mtime_ns}\0".encode())
        if stat.S_ISLNK(found.st_mode):
            total.update(os.readlink(path).encode())
        elif stat.S_ISREG(found.st_mode):
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
