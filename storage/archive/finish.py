"""What a restored file or directory gets after its bytes: attributes, owner, mode, times; and the warnings.

Apart from writing bytes, because the policy of what is not given back is here: setuid and setgid of
files are dropped, as a snapshot must not be able to bring a privilege with it (setgid and sticky of
directories grant none and are kept); owners are set when we are root, else everything is ours.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable

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
        self._mode, self._mtime = tree.mode.tolist(), tree.mtime.tolist()
        self._uid, self._gid = tree.uid.tolist(), tree.gid.tolist()
        self._attributes = tree.attributes
        self._name_of, self._warnings = name_of, warnings
        self._root = os.geteuid() == 0
        self._own = (os.geteuid(), os.getegid())

    def apply(self, handle: int, row: int) -> None:
        """Everything, the times last."""
        mode = self._mode[row]
        if stat.S_ISREG(mode):
            if mode & (stat.S_ISUID | stat.S_ISGID):
                self._warnings.add("setuid or setgid was dropped", self._name_of(row))
            mode &= 0o777
        if (encoded := self._attributes.get(row)) and not attributes.apply(handle, encoded):
            self._warnings.add("extended attributes could not be set", self._name_of(row))
        if self._root and (self._uid[row], self._gid[row]) != self._own:
            try:
                os.fchown(handle, self._uid[row], self._gid[row])
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EINVAL):
                    raise
                self._warnings.add("the owner could not be set", self._name_of(row))
        os.fchmod(handle, stat.S_IMODE(mode))
        os.utime(handle, ns=(self._mtime[row], self._mtime[row]))

    def apply_to_link(self, name: bytes, directory: int, row: int) -> None:
        """Owner and times of a symbolic link."""
        if self._root and (self._uid[row], self._gid[row]) != self._own:
            os.chown(name, self._uid[row], self._gid[row], dir_fd=directory, follow_symlinks=False)
        os.utime(name, ns=(self._mtime[row], self._mtime[row]), dir_fd=directory, follow_symlinks=False)
