"""Full disks: blocks or inodes are gone at a failpoint, somebody looks, room is made, and everything must end well.

The places are small file systems in memory, one for each thing that an embedded node writes. A point counts when the
node has met the lack of room: when a write of its own failed, or a guard of its own held it back. Needs root.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from domain.errors import DatabaseUnavailable
from domain.operation import TERMINAL, Operation, State
from tests.chaos import victim
from tests.chaos.victim import Death
from tests.fakes.region import RegionDouble
from tests.prove.bench import SOURCE, WAITING, Bench
from tests.prove.cases import Case, case, until
from tests.prove.commands import SCENARIOS
from tests.prove.lack import Lack
from tests.prove.matrix import Matrix
from tests.prove.promises import broken, whole
from workers import room

#: What lies where, beneath the data directory; "" is the directory itself, with its caches and locks.
PLACES = {
    "data directory": "",
    "live trees": "apps",
    "store": "store",
    "spool": "spool",
    "database": "database",
}
KINDS = ("blocks", "inodes")
MEGABYTES, INODES = 32, 3000
#: Bytes, or inodes, that are left: at none, in the middle of something small, and of something larger.
LEFT = {"blocks": (0, 0, 0, 0, 8_192, 65_536), "inodes": (0, 0, 0, 0, 1, 5)}
#: Commands that write more than rows.
WRITING = ("create", "restore", "drill", "import", "export", "repack", "forget", "record")
#: Seconds after which what has neither ended nor said why it waits is looked at as it is: little where it may be
#: unable to say anything, and elsewhere more than any attempt takes.
LOOK_SECONDS, PATIENCE = 4.0, 60.0
BALLAST = ".ballast"
#: How often it is tried to take what the node may be taking, too.
TRIES = 100
#: So many that had been drawn before, one after the other, are the end.
DRAWS = 1000
#: What nobody can write anything down without, so that nothing can be said of it either.
SILENT = ("database", "spool")


def missing() -> str:
    """What this machine lacks; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "only root can mount"
    lacks = [name for name in ("mount", "umount") if shutil.which(name) is None]
    return f"not installed: {', '.join(lacks)}" if lacks else ""


@contextmanager
def disks(data: Path) -> Iterator[None]:
    """A file system of its own for every place."""
    with ExitStack() as closing:
        for below in PLACES.values():
            folder = data / below
            folder.mkdir(parents=True, exist_ok=True)
            size = f"size={MEGABYTES}m,nr_inodes={INODES},mode=0700"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "none", folder], check=True)
            closing.callback(partial(subprocess.run, ["umount", "--lazy", str(folder)], check=True))
        yield


def environment(data: Path) -> dict[str, str]:
    """What puts the database into a place of its own."""
    return {"DATABASE_URL": f"sqlite:///{data}/database/backstay.db"}


def fill(folder: Path, kind: str, left: int, done: Path) -> None:
    """Take what is free, but for so much; then say that it is done."""
    if kind == "blocks":
        _take_blocks(folder, left)
    else:
        _take_inodes(folder, left)
    done.touch()


def _take_blocks(folder: Path, left: int) -> None:
    with (folder / BALLAST).open("wb") as file:
        for _ in range(TRIES):
            found, size = os.statvfs(folder), os.fstat(file.fileno()).st_blocks * 512
            more = found.f_bavail * found.f_frsize - left
            if more <= 0:
                return
            with suppress(OSError):  # the node has taken some of it meanwhile
                os.posix_fallocate(file.fileno(), 0, size + more)


def _take_inodes(folder: Path, left: int) -> None:
    (folder / BALLAST).mkdir(exist_ok=True)
    for number in range(INODES + TRIES):
        if os.statvfs(folder).f_favail <= left:
            return
        with suppress(OSError):  # the node has taken the last one meanwhile
            (folder / BALLAST / str(number)).touch()


def make_room(folder: Path) -> None:
    """Give it back, if anybody has taken it."""
    ballast = folder / BALLAST
    if ballast.is_dir():
        shutil.rmtree(ballast)
    else:
        ballast.unlink(missing_ok=True)


class Full:
    """Cases on one bench whose places can be filled."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.matrix, self.filled = bench, Matrix(bench), bench.home / "filled"
        self.settings = {
            free: bench.settings_with(BACKSTAY_LEASE_SECONDS="3", **({"BACKSTAY_KEEP_FREE": "0"} if free else {}))
            for free in (False, True)
        }
        self.reached = self.asleep = 0  # runs that met the lack of room, and runs in which nobody noticed it
        self.lack = Lack(bench.home / "lack")
        self.bad: list[str] = []
        self.ends: Counter[str] = Counter()

    def points(self, name: str) -> list[Death]:
        """The first time that each failpoint is reached."""
        return [death for death in self.matrix.points(name) if death.hit == 1]

    def case(self, name: str, place: str, kind: str, left: int, death: Death | None, *, keep: bool, ask: bool) -> None:
        """Fill the place there, or before anything begins; look, make room, and judge. `keep`: the guard of the disks
        watches; `ask`: `backstay doctor` too is asked while the disk is full. Some nodes cannot even write a log."""
        for below in PLACES.values():  # a case that broke off may have left one full
            make_room(self.bench.home / "data" / below)
        bench, service = self.bench, self.matrix.ready(name)
        folder, what = bench.home / "data" / PLACES[place], f"{name}: {kind} of {place} gone at {death}, {left} left"
        wanted = SCENARIOS[name].act(bench, service)
        self.filled.unlink(missing_ok=True)
        self.lack.forget()
        strike = partial(fill, folder, kind, left, self.filled)
        if death is None:
            strike()
        finished = partial(bench.over, list(wanted))
        settings = self.settings[not keep]
        log = bench.home / "log" if keep else Path("/dev/full")
        with self.lack.watched():
            pid = victim.start_node(settings, finished, bench.home / "full", death, log=log, strike=strike)
        found = self._looked(list(wanted), pid, LOOK_SECONDS if place in SILENT else PATIENCE)
        ends = Counter[str]()
        bad = [sentence for one in found for sentence in self._dishonest(one, place, wanted[one.message_id], ends)]
        bad += whole(bench, service)
        if ask and self.filled.exists():
            bad += self._doctor(folder)
        make_room(folder)
        if self.lack.met():
            self.reached += 1
            self.ends += ends
        else:
            self.asleep += 1
        end = victim.end_of(pid, bench.home / "full")
        bad += [] if end.exit_code == 0 else [f"not finished with room again ({end.exit_code})"]
        bad += self._again(name, service, wanted)
        self.bad += [f"{what}: {sentence}" for sentence in bad]

    def _looked(self, messages: list[str], pid: int, seconds: float) -> list[Operation]:
        """The operations, as soon as each has ended or says why it waits, or nothing has been heard for a while."""
        while not self.filled.exists() and not _gone(pid):
            time.sleep(0.02)
        over = time.monotonic() + seconds
        while time.monotonic() < over and not _gone(pid):
            found = self._found(messages)
            if len(found) == len(messages) and all(self._has_said(one) for one in found):
                return found
            time.sleep(0.05)
        return self._found(messages)

    def _has_said(self, one: Operation) -> bool:
        """What waits for a node that does not exist has nothing to say."""
        return one.state in TERMINAL or one.message_id.endswith(WAITING) or bool(self.bench.why_waiting(one.op_id))

    def _found(self, messages: list[str]) -> list[Operation]:
        with suppress(DatabaseUnavailable):
            found = [self.bench.system.database.find_by_message(SOURCE, message) for message in messages]
            return [one for one in found if one is not None]
        return []

    def _dishonest(self, one: Operation, place: str, wanted: State, ends: Counter[str]) -> list[str]:
        """What it says of its end, or of its waiting, must be true and of use."""
        folder, ended = self.bench.home / "data" / PLACES[place], one.state in TERMINAL
        if one.state is wanted:
            ends["ended all the same"] += 1
            return []
        said = str(one.outcome or {}) if ended else self.bench.why_waiting(one.op_id)
        if not said and (place in SILENT or one.message_id.endswith(WAITING)):
            ends["waiting for the database or the spool"] += 1
            return []
        code = one.error_code if ended else said.partition(":")[0]
        ends[f"{one.state} {code}" if ended else f"waiting: {code}"] += 1
        bad = []
        if code == "internal-error":
            bad.append(f"a bug of ours: {said}")
        if not any(word in said for word in ("No space left", "room", "full", " free")):
            bad.append(f"it does not say that there is no room: {said}")
        if str(folder) not in said:
            bad.append(f"it does not name {folder}: {said}")
        if ended and not (one.outcome or {}).get("next_step"):
            bad.append(f"no next step: {said}")
        return bad

    def _doctor(self, folder: Path) -> list[str]:
        environment = {**os.environ, **self.bench.environment(BACKSTAY_NODE="chaos-1")}
        command = [sys.executable, "-m", "workers", "doctor", "--json"]
        said = subprocess.run(command, env=environment, capture_output=True, text=True)
        checks = json.loads(said.stdout)["checks"]
        named = [
            one for one in checks if one["verdict"] == "fail" and str(folder) in one["detail"] and one["next_step"]
        ]
        return [] if named else [f"doctor says nothing of {folder}: {checks}"]

    def _again(self, name: str, service: str, wanted: dict[str, State]) -> list[str]:
        """What has failed for want of room succeeds when it is asked for again."""
        bench, ends = self.bench, dict(wanted)
        for message, state in wanted.items():
            one = bench.system.database.find_by_message(SOURCE, message)
            if one is None:
                return [f"{message} was lost"]
            if one.state is not state and one.state in (State.FAILED, State.ROLLED_BACK):
                data = bench.system.database.ledger.get(one.op_id).data  # type: ignore[union-attr]
                ends |= {message: one.state, bench.ask(service, one.kind, data, "again"): state}
        if len(ends) > len(wanted):
            end = bench.run(list(ends))
            if end.exit_code != 0:
                return [f"asked for again, it did not end ({end.exit_code})"]
        return broken(bench, SCENARIOS[name], service, ends)


def _gone(pid: int) -> bool:
    """Whether that child has ended; its end can still be asked for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def drawn(full: Full, draw: random.Random) -> Iterator[Case]:
    """The cases that there are, in a drawn order: at each point of each command each lack of each place once."""
    points, done, again = dict[str, list[Death]](), set[tuple[str, str, str, Death | None]](), 0
    while again < DRAWS:
        place, kind = draw.choice(list(PLACES)), draw.choice(KINDS)
        name = draw.choice(WRITING if place in ("data directory", "live trees", "store") else list(SCENARIOS))
        if name not in points:
            points[name] = []
            case(f"{name} without faults", partial(_find, full, name, points), full.bad)
        death = draw.choice([None, *draw.sample(points[name], min(5, len(points[name])))])
        again = again + 1 if (name, place, kind, death) in done else 0
        if again:
            continue
        done.add((name, place, kind, death))
        keep, ask, left = draw.random() < 0.3, draw.random() < 0.2, draw.choice(LEFT[kind])
        words = f"{name}: {kind} of {place} gone at {death}, {left} left"
        yield words, partial(full.case, name, place, kind, left, death, keep=keep, ask=ask)


def _find(full: Full, name: str, points: dict[str, list[Death]]) -> None:
    points[name] += full.points(name)


def run(home: Path, seconds: float, draw: random.Random) -> Full:
    """Cases until the time is over."""
    over = time.monotonic() + seconds
    before, room.ROOM_SECONDS = room.ROOM_SECONDS, 1.0  # nodes are forked and look as often
    try:
        with disks(home / "data"), RegionDouble(fenced=True) as region:
            full = Full(Bench(home, region, environment(home / "data")))
            until(over, drawn(full, draw), full.bad)
            full.bench.close()
            return full
    finally:
        room.ROOM_SECONDS = before
