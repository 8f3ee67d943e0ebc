"""Opening and removing things beneath a directory without ever being led out of it.

Apart from walking and restoring, which both need it: the trees belong to somebody who may swap a
directory for a symbolic link at any moment. Every step is relative to an open directory and follows no
link, so the worst that such a race achieves is an error.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections import OrderedDict
from collections.abc import Sequence

from storage.archive import syscalls

READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: opening a FIFO that took a file's place must not wait for a writer.
READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

#: Open directories kept per `Directories`; a worker has a few of these, the usual limit is 1024.
_KEPT = 96


class Directories:
    """Open handles of the directories of one tree, by index, opened step by step from the root.

    Directory 0 is the root; `parents[i]` is always smaller than i. Not to be shared between threads.
    """

    def __init__(self, root: int, parents: Sequence[int], names: Sequence[bytes]) -> None:
        """`root` is an open directory, which stays the caller's; the sequences may grow meanwhile."""
        self._root, self._parents, self._names = root, parents, names
        self._open: OrderedDict[int, int] = OrderedDict()

    def handle(self, index: int) -> int:
        """An open directory, valid until the next call. Raises OSError."""
        if index == 0:
            return self._root
        found = self._open.get(index)
        if found is not None:
            self._open.move_to_end(index)
            return found
        missing, above = [], index
        while above != 0 and above not in self._open:
            missing.append(above)
            above = self._parents[above]
        handle = self._root if above == 0 else self._open[above]
        for step in reversed(missing):
            handle = os.open(self._names[step], READ_DIRECTORY, dir_fd=handle)
            self._open[step] = handle
            # The newest is never the oldest, so the handle in hand stays open.
            if len(self._open) > _KEPT:
                os.close(self._open.popitem(last=False)[1])
        return handle

    def close(self) -> None:
        """Close all of them but the root."""
        while self._open:
            os.close(self._open.popitem()[1])


def _unlink(name: bytes, directory: int) -> None:
    """Remove a name, also of a file that is marked immutable; another name of it outside stays so."""
    try:
        os.unlink(name, dir_fd=directory)
        return
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        refused = error
    try:
        handle = os.open(name, READ_FILE, dir_fd=directory)
    except OSError:
        raise refused from None
    try:
        flags = syscalls.release(handle)
        if not flags:
            raise refused
        os.unlink(name, dir_fd=directory)
        if os.fstat(handle).st_nlink:
            syscalls.seal(handle, flags)
    finally:
        os.close(handle)


def remove_tree(name: bytes, parent: int) -> None:
    """Remove `name` in the open directory `parent`, whatever it is; absent is fine.

    Needs two handles whatever the depth: each directory is first moved up beside the first. Marks such as
    immutable keep nothing, as what is removed has been replaced. A mount point inside cannot be moved, so
    nothing beyond it is ever removed: OSError (EBUSY or EXDEV).
    """
    try:
        _unlink(name, parent)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.EISDIR, errno.EPERM):
            raise
    top = _open_to_empty(name, parent)
    try:
        _Emptying(top).run()
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


class _Emptying:
    """Removes everything in one directory."""

    def __init__(self, top: int) -> None:
        self._top = top
        self._label = secrets.token_hex(8).encode("ascii")  # no name in the tree can be known to collide
        self._moved = 0

    def run(self) -> None:
        self._empty(self._top)
        done = 0
        while done < self._moved:
            name = self._name(done)
            inner = _open_to_empty(name, self._top)
            try:
                self._empty(inner)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=self._top)
            done += 1

    def _name(self, number: int) -> bytes:
        return b"%s-%d" % (self._label, number)

    def _empty(self, directory: int) -> None:
        """Unlink the files; move the directories that are not empty up into the top."""
        with os.scandir(directory) as found:
            entries = [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in found]
        for name, is_directory in entries:
            if not is_directory:
                _unlink(name, directory)
                continue
            try:
                os.rmdir(name, dir_fd=directory)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EPERM):
                    raise
                self._move_up(name, directory)

    def _move_up(self, name: bytes, directory: int) -> None:
        # Moving a directory rewrites its "..", for which it must be writable.
        os.close(_open_to_empty(name, directory))
        os.rename(name, self._name(self._moved), src_dir_fd=directory, dst_dir_fd=self._top)
        self._moved += 1


def _open_to_empty(name: bytes, parent: int) -> int:
    """Open a directory and make it listable and writable: a restored one may be neither to its owner."""
    try:
        handle = os.open(name, READ_DIRECTORY, dir_fd=parent)
    except PermissionError:
        pinned = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{pinned}", 0o700)
        finally:
            os.close(pinned)
        handle = os.open(name, READ_DIRECTORY, dir_fd=parent)
    syscalls.release(handle)
    os.fchmod(handle, 0o700)
    return handle
