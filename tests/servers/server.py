"""What every server of the tests has in common: a directory, ports it keeps, and four verbs.

Apart from `process.py` because a server may be several processes (Ceph is three). start() prepares the directory
the first time only, so that kill() and start() give back what was stored before; close() removes everything.
"""

from __future__ import annotations

import shutil
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

from tests.servers.process import Process


class Server(ABC):
    """A product on loopback. Nothing is started by making one."""

    #: Part of the directory's name, and what messages call it.
    name: str
    #: The process that clients talk to, present after the first start(); kill, pause and resume mean this one.
    front: Process

    def __init__(self) -> None:
        # Not below pytest's tmp_path: that is closed to other users, and PostgreSQL refuses to run as root.
        self.directory = Path(tempfile.mkdtemp(prefix=f"backstay-{self.name}-"))
        self._prepared = False

    @abstractmethod
    def prepare(self) -> None:
        """Make the empty server in `directory` and set `front`; called once."""

    @abstractmethod
    def launch(self) -> None:
        """Start every process that is not running, and return when clients are answered."""

    def start(self) -> None:
        """Return when it answers. Does nothing when it does already."""
        if not self._prepared:
            self.prepare()
            self._prepared = True
        self.launch()

    def stop(self) -> None:
        """End it in good order and keep what it stored."""
        if self._prepared:
            self.front.stop()

    def kill(self) -> None:
        """SIGKILL what clients talk to, and wait until it is gone."""
        self.front.kill()

    def pause(self) -> None:
        """Freeze what clients talk to."""
        self.front.pause()

    def resume(self) -> None:
        """Undo pause()."""
        self.front.resume()

    def restart(self) -> None:
        """Stop and start, same ports, same content."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it and remove what it stored."""
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)
