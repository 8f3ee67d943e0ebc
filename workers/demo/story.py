"""`backstay demo`: the promise, shown on real trees and a region in about a minute, and checked.

Everything runs for real in a directory of its own: one `backstay serve` on the embedded default, the double
of a region as a process, the same command line that an operator uses, and `kill -9`. Every line is only
printed after it has been found true; otherwise the demo ends with exit code 1 and says what was not.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from workers.demo import snapshots, upgrades
from workers.demo.region import Region
from workers.demo.stage import Demo, NotTrue


def main(told: Callable[[bool, list[str]], None] | None = None) -> int:
    """Tell the story; 0 when all of it was true. With `told` it goes to standard error, and `told` gets it whole."""
    console = Console(stderr=told is not None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or the node would stay behind
    with temporary_home() as home, Region() as region:
        demo = Demo(home, console, region)
        try:
            snapshots.tell(demo)
            upgrades.tell(demo)
            demo.stop_node()
        except (NotTrue, subprocess.SubprocessError) as error:
            console.print(f"not true: {error}", style="red", highlight=False)
            if told:
                told(False, [*demo.claims, f"not true: {error}"])
            return 1
        finally:
            demo.kill_node()
            demo.system.close()
    console.print("Every line above was checked before it was printed.", highlight=False)
    if told:
        told(True, demo.claims)
    return 0


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A directory that goes again."""
    home = Path(tempfile.mkdtemp(prefix="backstay-demo-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
