"""Power cuts and failing disks, for the embedded node: what was acknowledged is there when the power is back.

The power is cut by the file system itself (`EXT4_IOC_SHUTDOWN` without a flush of its log, on a loop mount): what no
fsync has made durable is gone. Other faults are injected into system calls by strace. Needs root, mkfs.ext4 and strace.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.victim import Death, deaths, kill, run_node
from tests.chaos.world import SOURCE, World, check, live_tree_is_whole, prepare, publish_the_run, settings_of
from workers.bootstrap import System

#: ioctl: stop at once, without writing the log out.
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2
MEGABYTES = 96
#: System calls that make something durable or visible, and what happens to one of them.
CALLS = ("fsync", "fdatasync", "rename", "renameat2")
INJECTED = ("signal=SIGKILL", "error=EIO", "error=ENOSPC")


def missing() -> str:
    """What this machine lacks for power cuts; empty when it lacks nothing."""
    if os.geteuid() != 0:
        return "only root can mount"
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


@contextmanager
def mounted(image: Path, folder: Path, *, fresh: bool) -> Iterator[Path]:
    """A small ext4 of its own, which is unmounted again."""
    folder.mkdir(exist_ok=True)
    if fresh:
        with image.open("wb") as file:
            file.truncate(MEGABYTES << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def cut(folder: Path) -> None:
    """The power is gone: nothing is written any more, and the process ends."""
    handle = os.open(folder, os.O_RDONLY)
    fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    kill()


def power_cut(world: World, death: Death, home: Path) -> tuple[bool, list[str]]:
    """Cut the power there; whether it was reached, and which promises do not hold when it is back."""
    image, folder = home / "disk.ext4", home / "disk"
    with mounted(image, folder, fresh=True):
        copy = world.copy_to(folder / "data")
        os.sync()
        died = run_node(
            settings_of(copy.home), copy.finished, home / "trace", death, strike=lambda: cut(folder), log=home / "log"
        )
    with mounted(image, folder, fresh=False):
        # Another thread may find the disk gone, and end the process, before the one that has cut kills it.
        return died.exit_code != 0, _afterwards(copy, home, f"power cut at {death}")


def injected(world: World, what: str, call: str, number: int, home: Path) -> tuple[bool, list[str]]:
    """The `number`-th `call` of a thread fails, or kills; another process finishes if this one has not."""
    copy = world.copy_to(home / "injected")
    script = f"inject={call}:{what}:when={number}"
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", script, sys.executable]
    node = [*command, "-m", "tests.prove.node", str(copy.home), *copy.messages]
    ended = subprocess.run(node, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    bad = _afterwards(copy, home, f"{what} at {call} {number}")
    shutil.rmtree(copy.home)
    return ended.returncode != 0 or what != "signal=SIGKILL", bad


def _afterwards(copy: World, home: Path, what: str) -> list[str]:
    try:
        live_tree_is_whole(copy)
        end = run_node(settings_of(copy.home), copy.finished, home / "trace", log=home / "log")
        assert end.exit_code == 0, "nobody finished"
        system = System(settings_of(copy.home))
        check(copy, system)
        system.close()
    except AssertionError as error:
        return [f"{what}: {str(error).splitlines()[0]}"]
    return []
