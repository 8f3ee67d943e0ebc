"""A node in a forked process that dies at a chosen failpoint, or runs to the end.

Forking from a process that has everything imported costs milliseconds, so that a kill at every point
fits into a test run. The child runs the real threads of a real node; the parent has none.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pkgutil
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import domain
import handlers
import storage.archive
from domain import failpoint
from domain.errors import BackstayError
from domain.operation import Budget
from storage.sql import changes
from tests import dying
from tests.forking import fork
from workers import log as node_log
from workers import relay
from workers.bootstrap import System
from workers.config import Settings
from workers.runtime import NodeProcess
from workers.transports.redisstream import StreamChannel

#: Seconds after which a node that does not finish is a failure of the test.
PATIENCE = 150.0
#: Milliseconds for which left-overs of dead attempts stay; none, so that a run can look whether they are gone.
late_writes_ms = 0
#: Nodes of the present case, for whoever must end them because the case broke off.
started: list[int] = []


@dataclass(frozen=True, slots=True)
class Death:
    """Where to die: at the `hit`-th time that `point` is reached."""

    point: str
    hit: int

    def __str__(self) -> str:
        return f"{self.point}#{self.hit}"


@dataclass(frozen=True, slots=True)
class End:
    """How the child ended, and every failpoint that it reached, in order."""

    killed: bool
    exit_code: int
    trace: tuple[str, ...]


def kill() -> None:
    """What a death usually is."""
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    """Stop all threads of this process until somebody continues it; this one at once. A signal to the process would
    be taken by another thread, and a COMMIT have left before it is."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def run_node(
    settings: Settings,
    finished: Callable[[System], bool],
    trace: Path,
    death: Death | None = None,
    *,
    witness: Callable[[str], None] | None = None,
    log: Path | None = None,
    strike: Callable[[], None] = kill,
    budget: Budget | None = None,
) -> End:
    """Fork a node with these settings; let it run until `finished`, or until `death`.

    `witness` is called in the child at every failpoint, before the death; `log` takes what the child writes;
    `strike` is what the death consists of; `budget` is the node's, instead of the one that every node has.
    """
    pid = start_node(settings, finished, trace, death, witness=witness, log=log, strike=strike, budget=budget)
    return end_of(pid, trace)


def end_of(pid: int, trace: Path) -> End:
    """Wait for a forked node."""
    _, status = os.waitpid(pid, 0)
    reached = tuple(trace.read_text().split()) if trace.exists() else ()
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return End(killed, os.waitstatus_to_exitcode(status), reached)


def start_node(
    settings: Settings,
    finished: Callable[[System], bool],
    trace: Path,
    death: Death | None = None,
    *,
    witness: Callable[[str], None] | None = None,
    log: Path | None = None,
    strike: Callable[[], None] = kill,
    budget: Budget | None = None,
) -> int:
    """As `run_node`, without waiting: the node's process id."""
    trace.unlink(missing_ok=True)
    _import_everything()
    pid = fork()
    if pid == 0:
        if log is not None:
            file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(file, 1)
            os.dup2(file, 2)
            sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)  # a test runner had put its own there
        live(settings, finished, trace, death, witness, strike, budget)
    started.append(pid)
    return pid


def end_all() -> None:
    """SIGKILL to those of `started` that live or stand still, and wait for them."""
    for pid in started:
        with contextlib.suppress(ChildProcessError):  # somebody has waited for it
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    started.clear()


@functools.cache
def _import_everything() -> None:
    """What a node imports only when it is needed, each forked one would import again: more work than all of its own."""
    for package in (domain, handlers, storage.archive):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    for name in ("workers.region_client", "numpy.ma"):
        importlib.import_module(name)


def live(
    settings: Settings,
    finished: Callable[[System], bool],
    trace: Path,
    death: Death | None,
    witness: Callable[[str], None] | None,
    strike: Callable[[], None],
    budget: Budget | None,
) -> None:
    """Never returns. Leaves without clean-up: a node that ends normally must not need any."""
    code = 1
    try:
        changes.LATE_WRITES_MS = late_writes_ms
        relay.HOLD_MS, relay.SILENT_MS = (
            500,
            600,
        )  # and events that a dead relay held, or nobody answered, are told soon
        relay.POLL_SECONDS = 0.2
        StreamChannel.take_over_seconds = 2.0  # as well as messages
        _arm(trace, death, witness, strike)
        node_log.configure(settings.log_level, settings.node)
        system = System(settings)
        node = NodeProcess(system, budget=budget)
        node.start()
        deadline = time.monotonic() + PATIENCE
        done = threading.Event()
        # Whoever still holds something lets go of it, also when another has finished it meanwhile. It is looked again
        # after the sweep: a message that moved while it was looked for is taken in a moment later.
        while code and time.monotonic() < deadline:
            if finished(system) and node.broker.free() == node.broker.slots and _is_swept(node):
                code = 0 if finished(system) else 3
            else:
                done.wait(0.03)
    except BaseException:  # noqa: BLE001 - the forked child must never return into the test runner
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def _is_swept(node: NodeProcess) -> bool:
    """Whether nothing is left over. The sweeper, too, would come again when a server is away at that moment, a disk is
    full, or a worker is discarding the same folder."""
    try:
        node.sweeper.collect_garbage()
        node.sweeper.discard_staging()
    except (BackstayError, OSError):
        traceback.print_exc()
        return False
    return True


def _arm(trace: Path, death: Death | None, witness: Callable[[str], None] | None, strike: Callable[[], None]) -> None:
    file = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    seen: Counter[str] = Counter()
    mutex = threading.Lock()

    def hook(name: str) -> None:
        with mutex:
            seen[name] += 1
            os.write(file, f"{name}\n".encode())
            if witness is not None:
                witness(name)
            if death is not None and name == death.point and seen[name] == death.hit:
                if strike is kill:
                    dying.note(name)
                strike()

    failpoint.hook = hook


def deaths(trace: tuple[str, ...], every: Collection[str] = ()) -> list[Death]:
    """Every failpoint of a run without faults: the first time it is reached, and the last if it is another; of the
    parts `every` all times.

    Renewals are not among them: they come with time, so a faster run never reaches one.
    """
    counts = Counter(point for point in trace if not point.startswith("renew."))
    found = [
        Death(point, hit)
        for point, count in counts.items()
        for hit in (range(1, count + 1) if point.partition(".")[0] in every else sorted({1, count}))
    ]
    return sorted(found, key=str)
