"""How fast the archive is, beside restic, borg (from Debian, and 1.4) and `tar | zstd -3 -T0`.

    python -m bench.archive [app db dbins media logs] [--rounds N] [--scale F] [--work DIR] [--only NAME,NAME]

For each tree one Markdown table: first snapshot, unchanged, after a change, restore (seconds), stored bytes, bytes
added by the change, peak memory; medians over the rounds, whole processes, warm cache, zstd level 3 or nearest.
All in one run on one machine, so that ratios mean something; absolute seconds do not. Each round begins with
another contender. A restore of this program ends with everything on disk, the others' do not. Every restore is
compared with its source. Peers that are not installed are left out; borg 1.4 is installed for the run with --borg14.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from bench.trees import KINDS, Kind

STEPS = ("first", "unchanged", "change", "restore")


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


class Resident(Contender):
    """The same in a process that is running already, as a worker is: without starting Python and its libraries."""

    def __init__(self, name: str, work: Path, tree: Path) -> None:
        super().__init__(name, work, tree)
        command = [sys.executable, "-m", "bench.archive", "--resident"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _tell(self, step: str, path: Path) -> None:
        assert self._process.stdin is not None
        started = time.perf_counter()
        print(json.dumps([step, str(self.repository), str(path)]), file=self._process.stdin, flush=True)
        peak = self._answer()
        self.row.seconds[step] = time.perf_counter() - started
        if not peak:
            raise SystemExit(f"{self.row.name} {step} failed")
        self.row.peak_mib = int(peak)
        if step == "restore":
            self._process.stdin.close()
            self._process.wait()

    def snapshot(self, step: str) -> None:
        self._tell(step, self.tree)

    def restore(self) -> None:
        self._tell("restore", self.target)


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

    program: ClassVar = "borg"
    environment: ClassVar = {"BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    def snapshot(self, step: str) -> None:
        if step == "first":
            command = [self.program, "init", "-e", "none", str(self.repository)]
            subprocess.run(command, env={**os.environ, **self.environment}, check=True)
        archive = f"{self.repository}::{step}"
        self.run(step, [self.program, "create", "-C", "zstd,3", archive, str(self.tree)], **self.environment)

    def restore(self) -> None:
        self.target.mkdir()
        command = ["sh", "-c", f"cd '{self.target}' && {self.program} extract '{self.repository}::change'"]
        self.run("restore", command, **self.environment)
        self.target = Path(f"{self.target}{self.tree}")


class Borg14(Borg):
    """The present series, in a virtual environment that is made for it."""

    program: ClassVar = "/nonexistent/borg"


CONTENDERS: dict[str, tuple[type[Contender], str]] = {
    "backstay": (Backstay, "python3"),
    "backstay, running": (Resident, "python3"),
    "tar+zstd": (Tar, "zstd"),
    "restic": (Restic, "restic"),
    "borg": (Borg, "borg"),
    "borg-1.4": (Borg14, ""),
}


def compete(kind: Kind, source: Path, work: Path, names: list[str]) -> list[Row]:
    """One round over one tree."""
    rows = []
    for name in names:
        tree = work / "tree"
        subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(tree)], check=True)
        subprocess.run(["sh", "-c", f"find '{tree}' -type f -exec cat {{}} + > /dev/null; sync"], check=True)
        time.sleep(2.1)  # so that nobody's guard against the racy second makes "unchanged" read files
        one = CONTENDERS[name][0](name, work, tree)
        one.snapshot("first")
        one.row.stored = _bytes_in(one.repository)
        one.snapshot("unchanged")
        before_change = _bytes_in(one.repository)
        kind.change(tree)
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


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _step(step: str, repository: Path, path: Path) -> None:
    """What one timed process of this program does."""
    from domain.contracts import SnapshotRequest
    from domain.restore import RestoreMode
    from domain.snapshot import Consistency, Snapshot, SnapshotState
    from storage.archive import open_archive
    from storage.sealing import KeyRing
    from storage.store import open_store

    class Silent:
        def check(self) -> None: ...
        def keep(self, seconds: float) -> None: ...

        def staying(self) -> AbstractContextManager[None]:
            return nullcontext()

        def insist(self) -> None: ...
        def advance(self, bytes_done: int = 0, files_done: int = 0) -> None: ...
        def expect(self, bytes_total: int, files_total: int) -> None: ...

    ring = KeyRing({"bench": bytes(32)})  # every step is a process of its own and must open what the others sealed
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


def _serve_steps() -> None:
    """Carry out steps from standard input; after each, print the peak memory so far in MiB."""
    from storage.archive import open_archive  # noqa: F401 - what a worker has loaded long ago

    print("ready", flush=True)
    for line in sys.stdin:
        step, repository, path = json.loads(line)
        _step(step, Path(repository), Path(path))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, flush=True)


def medians(rounds: list[list[Row]]) -> list[Row]:
    """One row for each contender, in the order of `CONTENDERS`."""
    found = []
    for name in CONTENDERS:
        rows = [row for rows in rounds for row in rows if row.name == name]
        if not rows:
            continue
        seconds = {step: statistics.median(row.seconds[step] for row in rows) for step in STEPS}
        found.append(Row(name, seconds, rows[-1].stored, rows[-1].added, max(row.peak_mib for row in rows)))
    return found


def show(rows: list[Row]) -> None:
    """Print a Markdown table, and how this program compares with each peer (below 1 is faster, or smaller)."""
    print("| | first s | unchanged s | change s | restore s | stored MB | + change MB | peak MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.name} | {' | '.join(_figures(row))} |")
    ours = rows[0]
    for peer in (row for row in rows if not row.name.startswith("backstay")):
        if ours.name != "backstay":
            break
        ratios = [ours.seconds[step] / peer.seconds[step] for step in STEPS]
        ratios += [ours.stored / peer.stored, ours.added / max(1, peer.added), ours.peak_mib / max(1, peer.peak_mib)]
        print(f"| ÷ {peer.name} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    print(flush=True)


def _figures(row: Row) -> list[str]:
    times = [f"{row.seconds[step]:.2f}" for step in STEPS]
    return [*times, f"{row.stored / 1e6:.1f}", f"{row.added / 1e6:.2f}", str(row.peak_mib)]


def _install_borg14(work: Path) -> None:
    """borg 1.4 from the registry, in an environment of its own."""
    home = work / "borg-1.4"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    install = [str(home / "bin" / "pip"), "install", "--quiet", "borgbackup>=1.4,<1.5"]
    subprocess.run(install, check=True)
    _use_borg14(str(home / "bin" / "borg"))


def _use_borg14(program: str) -> None:
    Borg14.program = program
    CONTENDERS["borg-1.4"] = (Borg14, program)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("trees", nargs="*", metavar="TREE", help=f"of {', '.join(KINDS)}; default: all")
    parser.add_argument("--work", type=Path, help="where to work; about 8 GB are needed at scale 1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the trees")
    parser.add_argument("--only", default="", help="contenders, separated by commas")
    parser.add_argument("--borg14", nargs="?", const="install", metavar="PROGRAM", help="install borg 1.4, or use this")
    parser.add_argument("--resident", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.resident:
        _serve_steps()
        return
    if given.step:
        step, repository, path = given.step
        _step(step, Path(repository), Path(path))
        return
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        work = Path(folder)
        if given.borg14:
            _install_borg14(work) if given.borg14 == "install" else _use_borg14(given.borg14)
        wanted = given.only.split(",") if given.only else list(CONTENDERS)
        names = [name for name in wanted if shutil.which(CONTENDERS[name][1])]
        for tree in given.trees or KINDS:
            source = work / tree
            # In a process of its own: a child begins with the peak memory of the process that starts it.
            make = [sys.executable, "-m", "bench.trees", tree, str(source), "--scale", str(given.scale)]
            subprocess.run(make, check=True)
            print(
                f"### {tree}: {KINDS[tree].about}; {_bytes_in(source) / 1e6:.0f} MB, {given.rounds} rounds\n",
                flush=True,
            )
            rounds = []
            for number in range(given.rounds):
                turn = number % len(names)
                rounds.append(compete(KINDS[tree], source, work, names[turn:] + names[:turn]))
            show(medians(rounds))
            shutil.rmtree(source)


if __name__ == "__main__":
    main()
