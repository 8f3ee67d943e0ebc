"""How fast the archive is, beside `tar | zstd -3` and, when they are installed, restic and borg.

    python -m bench.archive TREE [--work DIR] [--rounds N]

Prints one table per round: first snapshot, unchanged, one small change, restore (each in seconds), bytes
stored, bytes added by the change, peak memory. All in one run on one machine, so that ratios mean something;
absolute seconds do not. Each step is a process of its own; restores of this program end with everything
on disk, the others' do not. Every restore is compared with its source. TREE is copied, never changed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar


@dataclass
class Row:
    """What one program needed."""

    name: str
    seconds: dict[str, float] = field(default_factory=dict)
    stored: int = 0
    added: int = 0
    peak_mib: int = 0


class Contender:
    """One program, with a repository of its own. Commands are run as child processes and timed."""

    def __init__(self, name: str, work: Path, tree: Path) -> None:
        self.row = Row(name)
        self.repository, self.tree, self.target = work / f"{name}.repo", tree, work / f"{name}.out"

    def run(self, step: str, command: list[str], **environment: str) -> None:
        """Time one command; keep its peak memory if it is the highest so far."""
        started = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{self.row.name} {step} failed with {process.returncode}")
        self.row.seconds[step] = time.perf_counter() - started
        self.row.peak_mib = max(self.row.peak_mib, used.ru_maxrss // 1024)

    def snapshot(self, step: str) -> None:
        """Take a snapshot."""
        raise AssertionError("each contender has its own")

    def restore(self) -> None:
        """Restore the newest into `target`."""
        raise AssertionError("each contender has its own")


class Backstay(Contender):
    """This program's archive on a folder, one process per step like the others."""

    def snapshot(self, step: str) -> None:
        self.run(step, [sys.executable, "-m", "bench.archive", "--step", step, str(self.repository), str(self.tree)])

    def restore(self) -> None:
        self.run(
            "restore",
            [sys.executable, "-m", "bench.archive", "--step", "restore", str(self.repository), str(self.target)],
        )


class Tar(Contender):
    """The floor: no deduplication, no verification, no durability."""

    def snapshot(self, step: str) -> None:
        self.repository.mkdir(exist_ok=True)
        self.run(step, ["sh", "-c", f"tar -C '{self.tree}' -cf - . | zstd -q -3 -T0 > '{self.repository}/{step}'"])

    def restore(self) -> None:
        self.target.mkdir()
        self.run("restore", ["sh", "-c", f"zstd -qdc '{self.repository}/change' | tar -C '{self.target}' -xf -"])


class Restic(Contender):
    """https://restic.net"""

    environment: ClassVar = {"RESTIC_PASSWORD": "bench"}

    def snapshot(self, step: str) -> None:
        command = ["restic", "-q", "--no-cache", "-r", str(self.repository)]
        if step == "first":
            subprocess.run([*command, "init"], env={**os.environ, **self.environment}, check=True)
        self.run(step, [*command, "backup", str(self.tree)], **self.environment)

    def restore(self) -> None:
        command = ["restic", "-q", "--no-cache", "-r", str(self.repository), "restore", "latest", "--target"]
        self.run("restore", [*command, str(self.target)], **self.environment)
        self.target = Path(f"{self.target}{self.tree}")


class Borg(Contender):
    """https://borgbackup.org"""

    environment: ClassVar = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    def snapshot(self, step: str) -> None:
        if step == "first":
            command = ["borg", "init", "-e", "none", str(self.repository)]
            subprocess.run(command, env={**os.environ, **self.environment}, check=True)
        archive = f"{self.repository}::{step}"
        self.run(step, ["borg", "create", "-C", "zstd,3", archive, str(self.tree)], **self.environment)

    def restore(self) -> None:
        self.target.mkdir()
        command = ["sh", "-c", f"cd '{self.target}' && borg extract '{self.repository}::change'"]
        self.run("restore", command, **self.environment)
        self.target = Path(f"{self.target}{self.tree}")


CONTENDERS: dict[str, tuple[type[Contender], str]] = {
    "backstay": (Backstay, "python3"),
    "tar+zstd": (Tar, "zstd"),
    "restic": (Restic, "restic"),
    "borg": (Borg, "borg"),
}


def compete(source: Path, work: Path) -> list[Row]:
    """One round."""
    rows = []
    for name, (kind, program) in CONTENDERS.items():
        if shutil.which(program) is None:
            continue
        tree = work / "tree"
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(tree)], check=True)
        subprocess.run(["sh", "-c", f"find '{tree}' -type f -exec cat {{}} + > /dev/null; sync"], check=True)
        time.sleep(2.1)  # so that nobody's guard against the racy second makes "unchanged" read files
        one = kind(name, work, tree)
        one.snapshot("first")
        one.row.stored = _bytes_in(one.repository)
        one.snapshot("unchanged")
        before_change = _bytes_in(one.repository)
        _change(tree)
        one.snapshot("change")
        one.row.added = _bytes_in(one.repository) - before_change
        os.sync()
        one.restore()
        if subprocess.run(["diff", "-r", "--no-dereference", str(tree), str(one.target)], check=False).returncode:
            raise SystemExit(f"{name} restored something else")
        rows.append(one.row)
        for path in (tree, one.repository, work / f"{name}.out", work / f"{name}.repo-cache"):
            shutil.rmtree(path, ignore_errors=True)
    return rows


def _change(tree: Path) -> None:
    """Append to every hundredth file, and change a page in the middle of the biggest."""
    files = sorted(path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    for path in files[::100]:
        with path.open("ab") as file:
            file.write(b"changed")
    biggest = max(files, key=lambda path: path.stat().st_size)
    with biggest.open("r+b") as file:
        file.seek(biggest.stat().st_size // 2)
        file.write(os.urandom(4096))


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _step(step: str, repository: Path, path: Path) -> None:
    """What one timed process of this program does."""
    from domain.restore import RestoreMode
    from domain.snapshot import Consistency, Snapshot, SnapshotRequest, SnapshotState
    from storage.archive import open_archive
    from storage.sealing import KeyRing
    from storage.store import open_store

    class Silent:
        def check(self) -> None: ...
        def keep(self, seconds: float) -> None: ...
        def advance(self, bytes_done: int = 0, files_done: int = 0) -> None: ...
        def expect(self, bytes_total: int, files_total: int) -> None: ...

    ring = KeyRing.parse(KeyRing.generate_text())
    archive = open_archive(open_store(f"file://{repository}"), ring, cache_dir=f"{repository}-cache")
    if step == "restore":
        key = archive.manifest_key("bench", "tree", "change")
        archive.stage(key, f"{path}.live", str(path), RestoreMode.REPLACE, Silent())
        return
    before: Callable[[str], str | None] = {"unchanged": "first", "change": "unchanged"}.get
    parent = None
    if name := before(step):
        found = archive.read(archive.manifest_key("bench", "tree", name))
        parent = Snapshot(
            snapshot_id=name, tenant_id="bench", service_id="tree", state=SnapshotState.AVAILABLE,
            taken_at=found.taken_at, manifest_key=found.manifest_key, root_digest=found.root_digest,
            logical_bytes=found.logical_bytes, stored_bytes=found.stored_bytes, files=found.files,
            consistency=Consistency.STABLE, include=found.include,
        )  # fmt: skip
    archive.create(SnapshotRequest(step, "bench", "tree", str(path), None, parent=parent), Silent())


def show(rows: list[Row]) -> None:
    """Print a table."""
    head = (
        ("first", 8),
        ("unchanged", 10),
        ("change", 8),
        ("restore", 8),
        ("stored MB", 10),
        ("+ MB", 8),
        ("peak MiB", 9),
    )
    print(" " * 10, *(f"{title:>{width}}" for title, width in head))
    for row in rows:
        steps = (f"{row.seconds[step]:{width}.2f}" for step, width in
                 (("first", 8), ("unchanged", 10), ("change", 8), ("restore", 8)))  # fmt: skip
        print(f"{row.name:10} {' '.join(steps)} {row.stored / 1e6:10.1f} {row.added / 1e6:8.1f} {row.peak_mib:9}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        _step(given.step, *given.paths)
        return
    with tempfile.TemporaryDirectory(dir=given.work) as work:
        for _ in range(given.rounds):
            show(compete(given.paths[0].resolve(), Path(work)))


if __name__ == "__main__":
    main()
