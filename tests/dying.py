"""Dying at a failpoint, and at which of them anybody has died in a run of the suite.

Apart from the matrices in `tests/chaos` because other suites let somebody die as well, and because a whole run is only
then a proof when it says where nobody did. A death is noted in a file that all processes of a run append to.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from domain import failpoint
from tests.forking import fork

ROOT = Path(__file__).parents[1]
ROOMS = ("domain", "handlers", "storage", "workers")
SIDES = ("before", "after")
_POINT = re.compile(r'\bfailpoint\(\s*"([a-z.-]+)"')
_TRANSACTION = re.compile(r'\.write\(\s*"([a-z-]+)"')
#: Names the file of the present run; nothing is noted without it. Not one of ours: tests take those away.
VARIABLE = "DEATHS_NOTED_IN"
#: Seconds after which a child that neither dies nor ends says where it stands, and ends.
PATIENCE = 300


class Killed(BaseException):
    """Stands for SIGKILL where the test goes on in the same process: nothing after it runs, `finally` aside."""


def begin() -> Callable[[], None]:
    """A run begins; what is returned ends it."""
    made, os.environ[VARIABLE] = tempfile.mkstemp(prefix="backstay-deaths-")
    os.close(made)
    return Path(os.environ[VARIABLE]).unlink


def named() -> set[str]:
    """Every failpoint that the code names; a transaction has one on either side of its commit.

    Read from the text: a name that is put together would not be found, and there are none but those two.
    """
    texts = [path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    commits = [path.read_text() for path in (ROOT / "storage" / "sql").rglob("*.py")]
    sides = (f"{name}.{side}-commit" for text in commits for name in _TRANSACTION.findall(text) for side in SIDES)
    return {name for text in texts for name in _POINT.findall(text)} | set(sides)


def survived() -> list[str]:
    """Those at which nobody has died so far."""
    return sorted(named() - _noted())


def told() -> str:
    """The same as a sentence."""
    left = survived()
    return (
        f"nobody has died at {', '.join(left)}" if left else f"somebody has died at each of {len(named())} failpoints"
    )


def note(point: str) -> None:
    """Somebody dies there now."""
    if VARIABLE in os.environ:
        with open(os.environ[VARIABLE], "a", encoding="ascii") as file:
            file.write(f"{point}\n")


def killed(point: str, act: Callable[[], object], hit: int = 1) -> None:
    """Do it in a child that SIGKILL ends at the `hit`-th time that it comes to `point`."""
    pid = fork()
    if pid == 0:
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        failpoint.hook = at(point, lambda _: os.kill(os.getpid(), signal.SIGKILL), hit)
        try:
            act()
        except BaseException:  # noqa: BLE001 - the forked child must never return into the test runner
            traceback.print_exc()
        os._exit(1)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended == -signal.SIGKILL, f"{point} #{hit} was not reached"


@contextmanager
def dying(point: str, hit: int = 1) -> Iterator[None]:
    """The block ends at the `hit`-th time that it comes to `point`, and must come there."""
    with hooked(at(point, die, hit)) as died:
        yield
    assert died, f"{point} #{hit} was not reached"


@contextmanager
def hooked(hook: Callable[[str], None]) -> Iterator[list[str]]:
    """The block with that hook; what is yielded has the point at which it died, if it did."""
    before, failpoint.hook, died = failpoint.hook, hook, list[str]()
    try:
        yield died
    except Killed as end:
        died.append(str(end))
    finally:
        failpoint.hook = before


def die(point: str) -> None:
    """What a death consists of where the test goes on in the same process."""
    note(point)
    raise Killed(point)


def after(points: int) -> Callable[[str], None]:
    """A hook that lets so many failpoints pass and dies at the next one, whatever it is called."""
    left = [points]

    def hook(name: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            die(name)

    return hook


def at(point: str, strike: Callable[[str], None], hit: int = 1) -> Callable[[str], None]:
    """A hook that strikes at the `hit`-th time that `point` is reached."""
    seen, mutex = 0, threading.Lock()

    def hook(name: str) -> None:
        nonlocal seen
        if name != point:
            return
        with mutex:  # several threads come there, and one of them is the `hit`-th
            seen += 1
            strikes = seen == hit
        if strikes:
            note(name)
            strike(name)

    return hook


def _noted() -> set[str]:
    return set(Path(os.environ[VARIABLE]).read_text().split())
