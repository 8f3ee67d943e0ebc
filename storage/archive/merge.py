"""Mode `merge`: what only the live tree has is taken over into the staged one.

Apart from staging, because it is the one part of a restore that reads the live tree. Files are taken
over as hard links, so nothing is copied and nothing live is changed; where both trees have a name, the
snapshot's stands. Directories that only the target has are made anew with its metadata, as far as we may give it.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import partial

from domain.contracts import Watch
from domain.errors import Refused
from storage.archive import attributes, published
from storage.archive.beneath import READ_DIRECTORY, Directories
from storage.archive.exclusion import OWN_PREFIX
from storage.archive.finish import OTHER_ATTRIBUTES, OTHER_OWNER, Warnings, give
from storage.archive.layout import DEPTH_LIMIT
from storage.archive.manifest import Tree


def merge(target: str, tree: Tree, staged: Directories, warnings: Warnings, watch: Watch) -> None:
    """Add to the staged tree. Absent target: nothing to do. Raises Refused(code="cannot-merge")."""
    try:
        live = os.open(target, READ_DIRECTORY)
    except FileNotFoundError:
        return
    try:
        _Merging(tree, staged, warnings, watch).run(live)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        raise Refused(
            f"a file that only the target has cannot be linked into the restored tree: {os.strerror(error.errno)}",
            code="cannot-merge",
            next_step='restore with "mode": "replace", or into another directory',
        ) from error
    finally:
        os.close(live)


class _Merging:
    """Walks the live tree beside the snapshot's rows."""

    def __init__(self, tree: Tree, staged: Directories, warnings: Warnings, watch: Watch) -> None:
        self._staged, self._warnings, self._watch = staged, warnings, watch
        self._modes = tree.mode
        self._rows: dict[int, dict[bytes, int]] = {}
        for row, (above, name) in enumerate(zip(tree.parent.tolist(), tree.names, strict=True)):
            if row:
                self._rows.setdefault(above, {})[name] = row

    def run(self, live: int) -> None:
        self._directory(live, 0, b"", 0)

    def _directory(self, live: int, row: int, above: bytes, depth: int) -> None:
        """A directory that both trees have."""
        self._watch.check()
        known = self._rows.get(row, {})
        for name, status in _list(live):
            if row == 0 and name.startswith(OWN_PREFIX):
                continue
            there = known.get(name)
            both = there is not None and stat.S_ISDIR(status.st_mode) and stat.S_ISDIR(int(self._modes[there]))
            if there is None:
                self._take(live, above + name, status, self._staged.handle(row), depth)
            elif both:
                inner = os.open(name, READ_DIRECTORY, dir_fd=live)
                try:
                    self._directory(inner, there, above + name + b"/", depth + 1)
                finally:
                    os.close(inner)

    def _take(self, live: int, path: bytes, status: os.stat_result, place: int, depth: int) -> None:
        """Something that only the live tree has."""
        name = os.path.basename(path)
        if not stat.S_ISDIR(status.st_mode):
            os.link(name, name, src_dir_fd=live, dst_dir_fd=place, follow_symlinks=False)
            return
        if depth >= DEPTH_LIMIT:
            raise Refused(f"the target is more than {DEPTH_LIMIT} directories deep", code="cannot-merge")
        os.mkdir(name, 0o700, dir_fd=place)
        source, made = os.open(name, READ_DIRECTORY, dir_fd=live), os.open(name, READ_DIRECTORY, dir_fd=place)
        try:
            self._watch.check()
            for inner, inner_status in _list(source):
                self._take(source, path + b"/" + inner, inner_status, made, depth + 1)
            if not attributes.apply(made, attributes.read(source)):
                self._warnings.add(OTHER_ATTRIBUTES, published.printable(path))
            if not give(partial(os.fchown, made), status.st_uid, status.st_gid):
                self._warnings.add(OTHER_OWNER, published.printable(path))
            os.fchmod(made, stat.S_IMODE(status.st_mode))
            os.utime(made, ns=(status.st_mtime_ns, status.st_mtime_ns))
        finally:
            os.close(source)
            os.close(made)


def _list(directory: int) -> list[tuple[bytes, os.stat_result]]:
    with os.scandir(directory) as found:
        return [(os.fsencode(entry.name), entry.stat(follow_symlinks=False)) for entry in found]
