"""What a restored file or directory gets after its bytes: attributes, owner, mode, times; and the warnings.

Apart from writing bytes, because the policy of what is not given back is here: setuid and setgid of
files are dropped, as a snapshot must not be able to bring a privilege with it (setgid and sticky of
directories grant none and are kept); owners are set when we are root, else everything is ours, with a group that
we are in, and the rest is warned of.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from functools import partial

import numpy as np

from storage.archive import attributes
from storage.archive.manifest import Tree

#: Paths named per kind of warning; the rest is counted.
_NAMED = 20


class Warnings:
    """Collects what was restored differently. Safe to share between threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._found: dict[str, list[str]] = {}

    def add(self, what: str, path: str) -> None:
        """`what` is the sentence that the paths follow."""
        with self._mutex:
            self._found.setdefault(what, []).append(path)

    def sentences(self) -> tuple[str, ...]:
        """One per path, at most `_NAMED` of a kind, then how many more."""
        lines = []
        for what, paths in sorted(self._found.items()):
            lines += [f"{what}: {path}" for path in sorted(paths)[:_NAMED]]
            if len(paths) > _NAMED:
                lines.append(f"{what}: {len(paths) - _NAMED} more")
        return tuple(lines)


class Finisher:
    """Applies the metadata of a tree's rows to open files. Safe to share between threads."""

    def __init__(self, tree: Tree, name_of: Callable[[int], str], warnings: Warnings) -> None:
        self._tree, self._name_of, self._warnings = tree, name_of, warnings
        self._root = os.geteuid() == 0
        file = (tree.mode & 0o170000) == stat.S_IFREG
        privileged = file & ((tree.mode & (stat.S_ISUID | stat.S_ISGID)) != 0)
        foreign = (tree.uid != os.geteuid()) | (tree.gid != os.getegid())
        # Worked out for all rows at once: most files need nothing but their mode and time.
        self._unusual = set(np.nonzero(privileged | foreign)[0].tolist()) | set(tree.attributes)
        self._modes = np.where(file, tree.mode & 0o777, tree.mode & 0o7777).tolist()
        self._mtimes = tree.mtime.tolist()
        #: Rows whose owner, or attributes, are not the snapshot's, which was warned of.
        self.other_owner: set[int] = set()
        self.other_attributes: set[int] = set()

    def mode_of(self, row: int) -> int:
        """The permission bits that the entry gets."""
        return int(self._modes[row])

    def apply(self, handle: int, row: int) -> None:
        """Everything, the times last."""
        if row in self._unusual:
            self._apply_unusual(handle, row)
        os.fchmod(handle, self._modes[row])
        os.utime(handle, ns=(self._mtimes[row], self._mtimes[row]))

    def _apply_unusual(self, handle: int, row: int) -> None:
        """Attributes and owner, and the warning that a privilege was left out."""
        tree, mode = self._tree, int(self._tree.mode[row])
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            self._warnings.add("setuid or setgid was dropped", self._name_of(row))
        if (encoded := tree.attributes.get(row)) and not attributes.apply(handle, encoded):
            self.other_attributes.add(row)
            self._warnings.add("extended attributes could not be set", self._name_of(row))
        self._give(row, partial(os.fchown, handle))

    def _give(self, row: int, chown: Callable[[int, int], None]) -> None:
        """Owner and group; who is not root can give only the group, and only one that he is in."""
        uid, gid = int(self._tree.uid[row]), int(self._tree.gid[row])
        ours = self._root or uid == os.geteuid()
        try:
            chown(uid if self._root else -1, gid)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
            ours = False
        if not ours:
            self.other_owner.add(row)
            self._warnings.add("the owner could not be set", self._name_of(row))

    def apply_to_link(self, name: bytes, directory: int, row: int) -> None:
        """Owner and times of a symbolic link."""
        if row in self._unusual:
            self._give(row, partial(os.chown, name, dir_fd=directory, follow_symlinks=False))
        os.utime(name, ns=(self._mtimes[row], self._mtimes[row]), dir_fd=directory, follow_symlinks=False)
