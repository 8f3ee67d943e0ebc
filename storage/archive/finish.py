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
from bisect import insort
from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from storage.archive import attributes
from storage.archive.manifest import Tree

#: Paths named per kind of warning; the rest is counted.
_NAMED = 20


#: What is said of an entry, before its path.
OTHER_OWNER = "the owner could not be set"
OTHER_ATTRIBUTES = "extended attributes could not be set"


class Warnings:
    """Collects what was restored differently, in little room however much it is. Safe to share between threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._found: dict[str, tuple[int, list[str]]] = {}

    def add(self, what: str, path: str) -> None:
        """`what` is the sentence that the paths follow."""
        self.add_many(what, 1, (path,))

    def add_many(self, what: str, count: int, some: Iterable[str]) -> None:
        """`count` paths, of which `some` may be named; any `_NAMED` of them are enough."""
        with self._mutex:
            before, named = self._found.get(what, (0, []))
            for path in some:
                insort(named, path)
            self._found[what] = (before + count, named[:_NAMED])

    def sentences(self) -> tuple[str, ...]:
        """One per path, at most `_NAMED` of a kind, then how many more."""
        lines = []
        for what, (count, named) in sorted(self._found.items()):
            lines += [f"{what}: {path}" for path in named]
            if count > len(named):
                lines.append(f"{what}: {count - len(named)} more")
        return tuple(lines)


def give(chown: Callable[[int, int], None], uid: int, gid: int) -> bool:
    """Owner and group; who is not root can give only the group, and only one that he is in. False when not both are
    what was asked for."""
    root = os.geteuid() == 0
    try:
        chown(uid if root else -1, gid)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EINVAL):
            raise
        return False
    return root or uid == os.geteuid()


class Finisher:
    """Applies the metadata of a tree's rows to open files. Safe to share between threads."""

    def __init__(self, tree: Tree, name_of: Callable[[int], str], warnings: Warnings) -> None:
        self._tree, self._name_of, self._warnings = tree, name_of, warnings
        file = (tree.mode & 0o170000) == stat.S_IFREG
        privileged = file & ((tree.mode & (stat.S_ISUID | stat.S_ISGID)) != 0)
        foreign = tree.uid != os.geteuid()
        # Worked out for all rows at once: most need nothing but their mode and time, and who is not root can give
        # away none of what may be a million.
        unusual = privileged | (tree.gid != os.getegid())
        #: Of each row whether its owner is not the snapshot's, which was warned of; and rows of other attributes.
        self.other_owner: NDArray[np.bool_] = np.zeros(len(foreign), np.bool_)
        self.other_attributes: set[int] = set()
        if os.geteuid() == 0:
            unusual |= foreign
        else:
            self._lose(foreign)
        unusual[list(tree.attributes)] = True
        self._unusual = unusual.tolist()
        self._modes = np.where(file, tree.mode & 0o777, tree.mode & 0o7777).tolist()
        self._mtimes = tree.mtime.tolist()

    def _lose(self, foreign: NDArray[np.bool_]) -> None:
        """Note and warn of the entries that stay ours; further names of a file are no entries of their own."""
        self.other_owner |= foreign
        self.other_owner[list(self._tree.twins)] = False
        rows = np.nonzero(self.other_owner)[0]
        if len(rows):
            self._warnings.add_many(OTHER_OWNER, len(rows), map(self._name_of, rows[:_NAMED].tolist()))

    def mode_of(self, row: int) -> int:
        """The permission bits that the entry gets."""
        return int(self._modes[row])

    def apply(self, handle: int, row: int) -> None:
        """Everything, the times last."""
        if self._unusual[row]:
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
            self._warnings.add(OTHER_ATTRIBUTES, self._name_of(row))
        self._give(row, partial(os.fchown, handle))

    def _give(self, row: int, chown: Callable[[int, int], None]) -> None:
        if not give(chown, int(self._tree.uid[row]), int(self._tree.gid[row])) and not self.other_owner[row]:
            self.other_owner[row] = True
            self._warnings.add(OTHER_OWNER, self._name_of(row))

    def apply_to_link(self, name: bytes, directory: int, row: int) -> None:
        """Owner and times of a symbolic link."""
        if self._unusual[row]:
            self._give(row, partial(os.chown, name, dir_fd=directory, follow_symlinks=False))
        os.utime(name, ns=(self._mtimes[row], self._mtimes[row]), dir_fd=directory, follow_symlinks=False)
