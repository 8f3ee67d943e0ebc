"""A child process: imports modules and reports what they did meanwhile.

    python -m tests.architecture.importer FOLDER MODULE…    judges code beneath FOLDER

Apart from the test because the traps change the interpreter for good. Python's audit events catch what opens,
connects and starts; the environment and the clock have no such event, so their entry points are replaced. Only
deeds of our own code count: what a library does while it loads is not ours to forbid.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import types
from collections.abc import Callable
from typing import Any

#: Libraries that look around when we use them to declare something, and why that is not our doing.
HABITS = {"pydantic": "making a model class looks for installed plugins"}
PROCESSES = ("subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn")
EVENTS = (*PROCESSES, "socket.", "sqlite3.connect", "os.mkdir", "os.listdir", "os.scandir")
CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
THREADS = {"start_new_thread", "start_joinable_thread"}
#: Written in C and out of the reach of the other traps; the profiler sees them called.
PROFILED = {*CLOCKS, *THREADS, "urandom"}

judged = ""
deeds: list[str] = []


def culprit(frame: types.FrameType | None) -> str | None:
    """The place in our code that caused this; None when a library, or an import of one, did it."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(judged) and "site-packages" not in name and name != __file__:
            return f"{os.path.relpath(name, judged)}:{frame.f_lineno}"
        if name.startswith("<frozen importlib") or any(f"/site-packages/{habit}/" in name for habit in HABITS):
            return None
        frame = frame.f_back
    return None


def report(deed: str) -> None:
    """Remember the deed if it was ours."""
    place = culprit(sys._getframe(2))
    if place is not None:
        deeds.append(f"{place} {deed}")


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Files opened, folders listed, sockets made, processes started."""
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc")):
        report(f"opens {arguments[0]}")
    elif event.startswith(EVENTS):
        report(event)


def profile(frame: types.FrameType, event: str, function: Any) -> None:
    """The clock of `datetime`, random bytes and threads."""
    if event == "c_call" and getattr(function, "__qualname__", "") in PROFILED:
        report(f"calls {function.__qualname__}")


class WatchedEnvironment(os._Environ):  # type: ignore[type-arg]
    """The environment, with every look at it reported."""

    def __getitem__(self, key: Any) -> Any:
        report(f"reads the environment variable {key}")
        return super().__getitem__(key)

    def __iter__(self) -> Any:
        report("reads the whole environment")
        return super().__iter__()


def watch(module: types.ModuleType, name: str) -> None:
    """Replace a function by one that reports before it answers."""
    original: Callable[..., Any] = getattr(module, name)

    def watched(*args: Any, **kwargs: Any) -> Any:
        report(f"calls {module.__name__}.{name}")
        return original(*args, **kwargs)

    setattr(module, name, watched)


def main(folder: str, names: list[str]) -> None:
    """Set the traps, import, print the deeds as JSON."""
    global judged
    judged = folder + os.sep
    os.environ.__class__ = WatchedEnvironment
    for name in ("time", "time_ns", "monotonic", "clock_gettime", "perf_counter"):
        watch(time, name)
    for name in ("gethostname", "getfqdn"):
        watch(importlib.import_module("socket"), name)
    sys.addaudithook(audit)
    sys.setprofile(profile)
    for name in names:
        importlib.import_module(name)
    sys.setprofile(None)
    found = sorted(set(deeds))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
