"""The database under a simulation: migrated once, emptied for every seed.

Apart from the world because it outlives a seed: statements are compiled once for all of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from storage.sealing import KeyRing
from storage.sql import Database, open_database

_KEY = KeyRing({"k1": bytes(range(32))})


class Floor:
    """One migrated database for seed after seed: statements are compiled once, the file is replaced."""

    def __init__(self, folder: Path) -> None:
        self.path, self._empty = folder / "run.db", folder / "empty.db"
        self._now: Callable[[], int] = lambda: 0
        empty = open_database(f"sqlite:///{self._empty}", _KEY)
        empty.migrate()
        empty.close()
        self._database = open_database(f"sqlite:///{self.path}", _KEY, clock_ms=lambda: self._now())

    def cleared(self, now: Callable[[], int]) -> Database:
        """The database without operations, under the clock `now` (UTC milliseconds)."""
        self._database.close()
        for name in self.path.parent.glob("run.db*"):
            name.unlink()
        shutil.copyfile(self._empty, self.path)
        self._now = now
        return self._database
