"""`backstay demo --broken`: an installation in which several things are broken, for somebody to repair.

Apart from the story because nothing is told here: what is wrong is found with the same commands and pages as on
any other installation. This process plays the service manager (it restarts the node when its configuration
changes or when it dies), says what has been repaired, and ends when nothing is broken any more.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from workers.demo.breakages import BREAKAGES, Breakage
from workers.demo.premises import NODE, Site
from workers.demo.region import HOME, Region
from workers.demo.stage import NotTrue, inherited
from workers.demo.story import temporary_home

#: Seconds between looks at what has been repaired.
LOOK_SECONDS = 0.5

OPENING = """\
An installation with {count} broken things runs in {home}

In another terminal:

    export BACKSTAY_DATA_DIR={home}
    backstay doctor

The same in a browser: http://{http}/ (the token is {token})

Its configuration is {home}/backstay.toml; the node is restarted when that file changes.
Find what is wrong, and repair it. What is repaired is said here. Ctrl-C ends this and removes everything.
"""


def main(told: Callable[[bool, list[str]], None] | None = None) -> int:
    """Break it, and wait until it is whole; 0 then, 130 after Ctrl-C. `told` gets what was repaired."""
    console = Console(highlight=False, markup=False, soft_wrap=True, stderr=told is not None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with temporary_home() as home, Region() as region:
        site = Site(home, region)
        try:
            console.print("Setting the stage takes some seconds ...")
            set_up(site)
            shown = {"http": site.settings().http, "token": site.token()}
            console.print(OPENING.format(count=len(BREAKAGES), home=home, **shown))
            with managed(home, console) as look_after:
                _watch(site, console, look_after)
        except NotTrue as error:
            console.print(f"the stage could not be set: {error}")
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            site.close()
    if told:
        told(True, [breakage.repaired for breakage in BREAKAGES])
    return 0


def set_up(site: Site) -> None:
    """Let everything run well, then break it; afterwards no node runs."""
    site.start(NODE)
    for breakage in BREAKAGES:
        breakage.prepare(site)
    for breakage in BREAKAGES:
        breakage.damage(site)
    site.stop(NODE)
    if whole := [breakage.repaired for breakage in BREAKAGES if breakage.healed(site)]:
        raise NotTrue(f"not broken: {whole}")


class Manager:
    """What a service manager does for one node: start it, start it again, restart it for a new configuration."""

    def __init__(self, home: Path, console: Console) -> None:
        self._home, self._console = home, console
        self._node: subprocess.Popen[bytes] | None = None
        self._read = 0

    def look(self) -> None:
        """Called again and again."""
        changed = (self._home / "backstay.toml").stat().st_mtime_ns
        if changed != self._read:
            if self._read:
                self._console.print("the configuration has changed: the node is restarted")
            self._read = changed
            self.stop()
            self._start()
        elif self._node is not None and self._node.poll() is not None:
            self._told()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._node is not None and self._node.poll() is None:
            self._node.send_signal(signal.SIGTERM)
            self._node.wait(timeout=40)
        self._node = None

    def _start(self) -> None:
        environment = inherited() | {"BACKSTAY_DATA_DIR": str(self._home)}
        with open(self._home / "serve.log", "wb") as log:
            self._node = subprocess.Popen(
                [sys.executable, "-m", "workers", "serve"], env=environment, stderr=log, cwd=HOME
            )

    def _told(self) -> None:
        """It has ended by itself: say why, and wait for another configuration."""
        for line in (self._home / "serve.log").read_text(errors="replace").splitlines()[-3:]:
            self._console.print(f"the node does not run: {line}")
        self._node = None


@contextmanager
def managed(home: Path, console: Console) -> Iterator[Manager]:
    """A manager whose node is stopped at the end."""
    manager = Manager(home, console)
    try:
        yield manager
    finally:
        manager.stop()


def _watch(site: Site, console: Console, manager: Manager) -> None:
    broken, began = list(BREAKAGES), time.monotonic()
    while broken:
        manager.look()
        for breakage in healed(site, broken):
            broken.remove(breakage)
            console.print(f"repaired: {breakage.repaired} ({len(broken)} left)")
        time.sleep(LOOK_SECONDS)
    console.print(f"Everything is repaired, after {(time.monotonic() - began) / 60:.0f} min.")


def healed(site: Site, broken: list[Breakage]) -> list[Breakage]:
    """Those that are repaired by now."""
    return [breakage for breakage in broken if breakage.healed(site)]
