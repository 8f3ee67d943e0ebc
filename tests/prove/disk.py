"""Power cuts and failing disks, for the embedded node: what was acknowledged is there when the power is back.

The power is cut by the file system itself (`EXT4_IOC_SHUTDOWN` without a flush of its log, on a loop mount): what no
fsync has made durable is gone. Trees, store, spool and database lie on an ext4 each, because one fsync commits the
whole log of its file system: SQLite's would make durable what the store or the spool has forgotten to sync. Other
faults are injected into system calls by strace. Needs root, mkfs.ext4 and strace.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

from domain.errors import BackstayError
from domain.operation import TERMINAL, State
from tests.chaos.victim import Death, deaths, kill, run_node
from tests.chaos.world import SOURCE, World, check, live_tree_is_whole, prepare, publish_the_run, settings_of
from tests.prove.cases import told
from workers.bootstrap import System
from workers.config import Settings

#: ioctl: stop at once, without writing the log out.
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
#: What has a disk of its own -> where, beneath the data directory, which itself is on the first.
DISKS = {"trees": "", "store": "store", "spool": "spool", "database": "database"}
MEGABYTES = 96
#: Seconds between the commits that ext4 makes unasked: longer than any case, or they would sync what nobody has.
UNASKED_COMMIT = 600
#: System calls that make something durable or visible, and what happens to one of them.
CALLS = ("fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat")
INJECTED = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")
#: Seconds after which a process whose disk stays bad is ended: it would wait for better times.
ON_A_BAD_DISK = 30.0


def missing() -> str:
    """What this machine lacks for power cuts; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "only root can mount"
    if not Path("/dev/loop-control").exists():
        return "no loop devices"
    lacks = [name for name in ("mkfs.ext4", "mount", "umount") if shutil.which(name) is None]
    return f"not installed: {', '.join(lacks)}" if lacks else ""


def begin(home: Path) -> tuple[World, list[Death]]:
    """The world of the embedded kill matrix, and the points of a run without faults."""
    world = prepare(home / "world" / "data")
    assert run_node(settings_of(world.home), world.finished, home / "trace", log=home / "log").exit_code == 0
    system = System(settings_of(world.home))
    found = [system.database.find_by_message(SOURCE, name) for name in ("zeroth", "first")]
    system.close()
    assert found[0] is not None and found[1] is not None
    world = publish_the_run(world, found[0].op_id, found[1].op_id)
    dry = world.copy_to(home / "dry")
    end = run_node(settings_of(dry.home), dry.finished, home / "trace", log=home / "log")
    shutil.rmtree(home / "dry")
    assert end.exit_code == 0
    return world, deaths(end.trace)


def apart(home: Path) -> Settings:
    """An embedded node whose database is in a directory of its own, as store and spool are by default."""
    return settings_of(home, DATABASE_URL=f"sqlite:///{home}/{DISKS['database']}/backstay.db")


@contextmanager
def mounted(images: Path, data: Path, *, fresh: bool) -> Iterator[list[Path]]:
    """A small ext4 of its own for each of `DISKS`, which are unmounted again; where they are."""
    with ExitStack() as closing:
        for name, below in DISKS.items():
            image, folder = images / f"{name}.ext4", data / below
            folder.mkdir(exist_ok=True)
            if fresh:
                image.unlink(missing_ok=True)  # its loop device may go a moment after its mount, and be found again
                with image.open("wb") as file:
                    file.truncate(MEGABYTES << 20)
                subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
            options = f"loop,commit={UNASKED_COMMIT}"
            subprocess.run(["mount", "-o", options, image, folder], check=True)
            closing.callback(partial(subprocess.run, ["umount", folder], check=True))
            if fresh:
                (folder / "lost+found").rmdir()
        yield [data / below for below in DISKS.values()]


def cut(disks: Sequence[Path], gone: Path) -> None:
    """The power is gone: nothing is written any more, and the process ends. `gone` says so, from another disk."""
    gone.touch()  # before: another thread may find the disk gone at once, and end the process
    shut_down(disks)
    kill()


def shut_down(disks: Sequence[Path]) -> None:
    """All at once; the last one first, which is the database's: nobody can write down how the others fail."""
    handles = [os.open(folder, os.O_RDONLY) for folder in reversed(disks)]
    for handle in handles:
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    for handle in handles:
        os.close(handle)


@dataclass
class Found:
    """What came of the cases: the points that were reached, each once, and what is wrong."""

    points: set[str] = field(default_factory=set)
    asleep: int = 0  # runs in which the fault did not happen
    bad: list[str] = field(default_factory=list)


def power_cut(world: World, death: Death, home: Path, found: Found) -> None:
    """Cut the power there, and look which promises do not hold when it is back."""
    data, gone = home / "disk", home / "gone"
    gone.unlink(missing_ok=True)
    with mounted(home, data, fresh=True) as disks:
        copy = world.copy_to(data)
        for file in data.glob("backstay.db*"):
            shutil.move(file, data / DISKS["database"])
        for disk in disks:  # not sync(2), which would make durable what others are about to lose
            subprocess.run(["sync", "-f", disk], check=True)
        strike, finished = partial(cut, disks, gone), copy.finished
        died = run_node(apart(data), finished, home / "trace", death, strike=strike, log=home / "log")
        if gone.exists():
            shut_down(disks)  # again, for a process that has ended before it came to the last
    with mounted(home, data, fresh=False):
        found.bad += [f"power cut at {death}: {sentence}" for sentence in _afterwards(copy, apart(data), home)]
    if gone.exists():
        found.points.add(str(death))
    elif died.exit_code == 0:
        found.asleep += 1
    else:
        found.bad.append(f"the node ended with {died.exit_code} before the power was cut at {death}")


def injected(world: World, what: str, call: str, number: int, home: Path, found: Found) -> None:
    """The `number`-th `call` of every thread fails, or kills; another process finishes if this one has not.

    For a pack, which has a thread of its own, the disk stays bad until the process is gone, so one that waits for
    better times is ended.
    """
    name = f"{what} at {call} {number}"
    copy, said, ended = _traced(world, home, "-e", f"trace={call}", "-e", f"inject={call}:{what}:when={number}")
    may_lack = ("restore",) if "ENOSPC" in what else ()
    found.bad += [f"{name}: {sentence}" for sentence in _afterwards(copy, settings_of(copy.home), home, may_lack)]
    # Of a process that is killed by it strace writes no call, only the end.
    killed = what == "signal=SIGKILL" and ended == -signal.SIGKILL and "killed" in said
    if killed or "(INJECTED)" in said:
        found.points.add(name)
    else:
        found.asleep += 1


def calls_made(world: World, home: Path) -> dict[str, int]:
    """How many of each call the thread makes that makes most of them, in a run without faults."""
    _, said, ended = _traced(world, home, "-e", f"trace={','.join(CALLS)}")
    assert ended == 0, f"without faults it ended with {ended}"
    made = Counter(re.findall(r"^(\d+) +(\w+)\(", said, re.MULTILINE))
    return {call: max((count for (_, name), count in made.items() if name == call), default=0) for call in CALLS}


def _traced(world: World, home: Path, *options: str) -> tuple[World, str, int]:
    """A node on a copy of the world: the copy, what strace wrote, and how it ended."""
    shutil.rmtree(home / "injected", ignore_errors=True)
    copy, log = world.copy_to(home / "injected"), home / "strace"
    command = ["strace", "-f", "-qq", "-o", str(log), *options, sys.executable]
    node = [*command, "-m", "tests.prove.node", str(copy.home), *copy.messages]
    with subprocess.Popen(node, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True) as process:
        with suppress(subprocess.TimeoutExpired):
            process.wait(ON_A_BAD_DISK)
        with suppress(ProcessLookupError):  # the tracer alone would leave what it traces alive
            os.killpg(process.pid, signal.SIGKILL)
    return copy, log.read_text(errors="replace"), process.returncode


def _afterwards(copy: World, settings: Settings, home: Path, may_lack: tuple[str, ...] = ()) -> list[str]:
    """What is lost shows as a refusal of the archive's, too. A disk that is full while a restore is staged ends it, so
    those of `may_lack` may have ended for want of room, having changed nothing."""
    system: System | None = None
    try:
        live_tree_is_whole(copy)
        end = run_node(settings, copy.finished, home / "trace", log=home / "log")
        if end.exit_code:
            return [f"nobody finished ({end.exit_code}): {waiting(copy, settings)}"]
        system = System(settings)
        lacked = [one for one in may_lack if _ended_for_want_of_room(system, one)]
        check(replace(copy, no_room=tuple(lacked)), system)
    except (AssertionError, BackstayError, OSError) as error:
        return [told(error)]
    finally:
        if system is not None:
            system.close()
    return []


def _ended_for_want_of_room(system: System, message: str) -> bool:
    found = system.database.find_by_message(SOURCE, message)
    return found is not None and found.state is State.FAILED and found.error_code == "no-room"


def waiting(copy: World, settings: Settings) -> list[str]:
    """What has not ended, and why."""
    system = System(settings)
    try:
        found = [system.database.find_by_message(SOURCE, message) for message in copy.messages]
        return [
            f"{message} {one.state} {one.error_code or ''}".strip() if one else f"{message} was not accepted"
            for message, one in zip(copy.messages, found, strict=True)
            if one is None or one.state not in TERMINAL
        ]
    finally:
        system.close()
