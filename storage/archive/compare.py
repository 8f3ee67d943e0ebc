"""What a restore would do to a live tree, found without reading the content of any file.

Apart from staging because nothing is written. A file counts as unchanged when type, size, mode and time are those of
the snapshot; one that was changed with all of these put back would be missed here, never by the restore itself.
"""

from __future__ import annotations

import os
import stat
from collections import Counter

from domain.contracts import Watch
from domain.restore import Difference, RestoreMode
from storage.archive import published
from storage.archive.exclusion import OWN_PREFIX
from storage.archive.manifest import Tree

#: Paths that are listed by name; the rest is counted.
MOST_LISTED = 1000


def compare(tree: Tree, target: str, mode: RestoreMode, watch: Watch) -> Difference:
    """Every entry of the snapshot against the live one, and what only the target has."""
    looking = _Comparing(tree, os.fsencode(target), watch)
    looking.entries()
    if mode is RestoreMode.REPLACE:
        looking.surplus()
    return Difference(dict(looking.counts), tuple(looking.listed))


class _Comparing:
    """One comparison. Nothing beneath a live symbolic link is looked at."""

    def __init__(self, tree: Tree, target: bytes, watch: Watch) -> None:
        self._tree, self._watch = tree, watch
        self._paths = [target] * len(tree.names)
        self._live = [False] * len(tree.names)  # both have a directory here
        self._children: dict[int, set[bytes]] = {}
        self.counts: Counter[str] = Counter(restored=0, updated=0, unchanged=0, deleted=0)
        self.listed: list[tuple[str, str]] = []

    def entries(self) -> None:
        for row, above in enumerate(self._tree.parent.tolist()):
            self._watch.check()
            if row:
                self._paths[row] = os.path.join(self._paths[above], self._tree.names[row])
                self._children.setdefault(above, set()).add(self._tree.names[row])
            status = _status(self._paths[row]) if row == 0 or self._live[above] else None
            self._live[row] = (
                status is not None and stat.S_ISDIR(status.st_mode) and stat.S_ISDIR(int(self._tree.mode[row]))
            )
            if row:
                self._note(self._verdict(row, status), published.path_of(self._tree, row))

    def surplus(self) -> None:
        """What would disappear: a directory counts once, with all that it holds."""
        for row, live in enumerate(self._live):
            if not live:
                continue
            with os.scandir(self._paths[row]) as found:
                extra = sorted(set(map(os.fsencode, (entry.name for entry in found))) - self._children.get(row, set()))
            for name in extra:
                if row or not name.startswith(OWN_PREFIX):
                    above = published.path_of(self._tree, row)
                    shown = published.printable(name)
                    self._note("deleted", f"{above}/{shown}" if above else shown)

    def _verdict(self, row: int, status: os.stat_result | None) -> str:
        mode = int(self._tree.mode[row])
        if status is None:
            return "restored"
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(mode):
            return "updated"
        if stat.S_ISLNK(mode):
            return "unchanged" if os.fsencode(os.readlink(self._paths[row])) == self._tree.links[row] else "updated"
        same = status.st_mode & 0o777 == mode & 0o777
        if stat.S_ISREG(mode):
            holder = self._tree.twins.get(row, row)
            same = same and status.st_size == int(self._tree.size[holder])
            same = same and status.st_mtime_ns == int(self._tree.mtime[row])
        return "unchanged" if same else "updated"

    def _note(self, verdict: str, path: str) -> None:
        self.counts[verdict] += 1
        if verdict != "unchanged" and len(self.listed) < MOST_LISTED:
            self.listed.append((verdict, path))


def _status(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except OSError:
        return None
