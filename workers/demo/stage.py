"""`backstay demo`: the promise, shown on a real application tree in about a minute, and checked.

Everything runs for real in a directory of its own: one `backstay serve` on the embedded default, the
same command line that an operator uses, and `kill -9`. The tree is the Python environment that Backstay
itself is installed in. Every line is only printed after it has been found true; otherwise the demo ends
with exit code 1 and says what was not.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from workers.bootstrap import System
from workers.config import load

SUBJECT = "tenant/acme/service/shop"
#: Incompressible data that makes the second snapshot long enough to be killed in its middle.
UPLOADS_MEBIBYTES = 384


class NotTrue(Exception):
    """Something that the demo claims did not hold."""


class Demo:
    """The stage: a data directory, an application tree and one node."""

    def __init__(self, home: Path, console: Console) -> None:
        self.home, self.console = home, console
        self.tree = home / "apps" / "shop"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("BACKSTAY_")} | {
            "BACKSTAY_DATA_DIR": str(home),
            "BACKSTAY_NODE": "demo-1",
            "BACKSTAY_LOG_LEVEL": "info",
        }
        for name in ("DATABASE_URL", "BROKER_URL"):
            self.environment.pop(name, None)
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
                cwd=Path(__file__).parent.parent,
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
        command = ["publish", kind, "--subject", SUBJECT, "--id", message_id, "--source", "/demo"]
        subprocess.run(
            [sys.executable, "-m", "workers", *command, "--data", json.dumps(data)],
            env=self.environment,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=Path(__file__).parent.parent,
        )
        return message_id

    def outcome(self, message_id: str, label: str) -> dict[str, Any]:
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
                done.update(operation.outcome or {})
                return bool(operation.outcome)

            self.wait_for(ended, f"{label} did not end", seconds=300)
        if done["outcome"] != "succeeded":
            raise NotTrue(f"{label} ended as {done['outcome']}: {done['sentence']}")
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
        mark = "[green]✓[/]" if self.console.is_terminal else "ok "
        self.console.print(f"{mark} {text}", highlight=False, soft_wrap=True)


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


def damage(tree: Path) -> tuple[int, int]:
    """Delete every third file, spoil every fifth of the rest, leave a foreign one; (deleted, spoilt)."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    for path in files[::3]:
        path.unlink()
    rest = [path for path in files if path.exists()]
    for path in rest[::5]:
        path.write_bytes(b"spoilt")
    (tree / "intruder.txt").write_text("not part of the application\n")
    return len(files[::3]), len(rest[::5])


def main() -> int:
    """Tell the story; 0 when all of it was true."""
    console = Console()
    with _stage() as home:
        demo = Demo(home, console)
        try:
            _tell(demo)
        except (NotTrue, subprocess.CalledProcessError) as error:
            console.print(f"not true: {error}", style="red", highlight=False)
            return 1
        finally:
            demo.kill_node()
            demo.system.close()
    console.print("Every line above was checked before it was printed.", highlight=False)
    return 0


@contextmanager
def _stage() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="backstay-demo-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _tell(demo: Demo) -> None:
    source = sysconfig.get_path("purelib")
    shutil.copytree(source, demo.tree, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    files = sum(1 for path in demo.tree.rglob("*") if path.is_file())
    demo.say(f"an application tree of {files:,} files is in place (the Python packages that Backstay runs on)")
    before = digest(demo.tree)
    demo.start_node()
    demo.outcome(demo.publish("register-service", {"directory": "shop"}), "registering")
    demo.say("`backstay serve` runs on SQLite, a folder and a spool: no server; the service is registered")
    snapshot = _snapshot_and_restore(demo, before)
    _kill_in_the_middle(demo, snapshot)
    demo.stop_node()


def _snapshot_and_restore(demo: Demo, before: str) -> str:
    began = time.monotonic()
    made = demo.outcome(demo.publish("create-snapshot", {"labels": ["reason:demo"]}), "snapshot")["figures"]
    demo.say(
        f"create-snapshot: {made['files']:,} files, {made['logical_bytes'] / 1e6:,.0f} MB stored as "
        f"{made['stored_bytes'] / 1e6:,.0f} MB in {time.monotonic() - began:.1f} s"
    )
    deleted, spoilt = damage(demo.tree)
    if digest(demo.tree) == before:
        raise NotTrue("the damage did not change the tree")
    demo.say(f"the tree is damaged: {deleted:,} files deleted, {spoilt:,} overwritten, a foreign one added")
    began = time.monotonic()
    demo.outcome(demo.publish("restore-snapshot", {"snapshot_id": made["snapshot_id"]}), "restore")
    if digest(demo.tree) != before:
        raise NotTrue("after the restore the tree differs from the original")
    demo.say(f"restore-snapshot: every name, mode, time and byte is as before, in {time.monotonic() - began:.1f} s")
    return str(made["snapshot_id"])


def _kill_in_the_middle(demo: Demo, first: str) -> None:
    with (demo.tree / "uploads.bin").open("wb") as file:
        for _ in range(UPLOADS_MEBIBYTES):
            file.write(random.randbytes(1 << 20))
    wanted = digest(demo.tree)
    message_id = demo.publish("create-snapshot", {"labels": ["reason:after-upload"]})

    def in_the_middle() -> bool:
        operation = demo.system.database.find_by_message("/demo", message_id)
        if operation is not None and operation.outcome:
            raise NotTrue("the snapshot ended before it could be killed")
        if operation is None:
            return False
        prefix = demo.system.archive.pack_prefix("acme", operation.op_id)
        return any(True for _ in demo.system.store.list(prefix))

    demo.wait_for(in_the_middle, "the second snapshot did not begin")
    demo.kill_node()
    if demo.system.database.catalogue.find(None, ["shop"], [], 10, None)[0].snapshot_id != first:
        raise NotTrue("half a snapshot is visible")
    demo.say("kill -9 in the middle of a second snapshot: nothing half-made is visible")
    demo.start_node()
    began = time.monotonic()
    made = demo.outcome(message_id, "snapshot, second worker")["figures"]
    demo.say(f"started again: it took the operation over and finished by itself in {time.monotonic() - began:.1f} s")
    target = {"snapshot_id": made["snapshot_id"], "target": {"directory": "shop-copy"}}
    demo.outcome(demo.publish("restore-snapshot", target), "restore of a copy")
    if digest(demo.home / "apps" / "shop-copy") != wanted:
        raise NotTrue("the copy restored from the second snapshot differs from the tree")
    demo.say("a copy restored from that snapshot equals the tree, byte for byte")
