"""What an earlier attempt of the same restore has left beside the target, and how it is told from anything else.

Apart from staging, because what is found here is not trusted: a note beside a staged tree names the manifest that it
was built from and the inode of its root, so that neither another snapshot's tree nor the old live tree, which lies in
the same place after a swap, is ever taken for it. A tree whose builder may still be running is locked and left
alone. What is taken up is moved aside; whoever takes files from there checks every byte.

    tree-<target>           the tree that is being built
    tree-<target>.note      "<inode of its root> <digest of what it is built from>"
    tree-<target>.left-<n>  what earlier attempts had built
    tree-<target>.undone-<inode of its root>  a tree that was turned back, swapped before or not
"""

from __future__ import annotations

import contextlib
import fcntl
import os

from domain.failpoint import failpoint
from storage.archive import attributes, digest
from storage.archive.beneath import READ_DIRECTORY, remove_tree

_NOTE = b".note"
_LEFT = b".left-"
_UNDONE = ".undone-"


class Place:
    """The place of one staged tree, in the open directory `parent`, which stays the caller's."""

    def __init__(self, parent: int, name: bytes, built_from: str) -> None:
        """`built_from` identifies the content."""
        self._parent, self._name = parent, name
        self._mark = digest.full(built_from.encode()).hex()
        #: Open roots of earlier attempts' trees, newest first.
        self.left: list[int] = []
        self._own: int | None = None

    def take_up(self) -> None:
        """Move aside what is there and can be used, remove the rest."""
        inode, mark = self._read_note()
        names = sorted(n for n in map(os.fsencode, os.listdir(self._parent)) if n.startswith(self._name + _LEFT))
        if mark != self._mark:
            inode, names = -1, self._removed(names)
        try:
            found = os.stat(self._name, dir_fd=self._parent, follow_symlinks=False).st_ino
        except FileNotFoundError:
            found = None
        if found is not None:
            if found == inode:
                failpoint("stage.before-take-up")
                aside = self._name + _LEFT + b"%d" % found
                self._removed([aside])
                os.rename(self._name, aside, src_dir_fd=self._parent, dst_dir_fd=self._parent)
                names.insert(0, aside)
            else:
                self._removed([self._name])
        for name in names:
            self._open(name)

    def begin(self) -> int:
        """Make the new tree; its open root, which stays ours."""
        os.mkdir(self._name, 0o700, dir_fd=self._parent)
        root = os.open(self._name, READ_DIRECTORY, dir_fd=self._parent)
        self._own = root
        fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # An apps root with setgid would give its group, or its access list, to everything that is made beneath it.
        os.fchown(root, -1, os.getegid())
        attributes.forget_lists(root)
        os.fchmod(root, 0o700)
        text = b"%d %s" % (os.fstat(root).st_ino, self._mark.encode("ascii"))
        fresh = self._name + _NOTE + b".new"
        note = os.open(
            fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._parent
        )
        try:
            os.write(note, text)
        finally:
            os.close(note)
        os.rename(fresh, self._name + _NOTE, src_dir_fd=self._parent, dst_dir_fd=self._parent)
        return root

    def drop_left(self) -> None:
        """What was of use has been taken."""
        while self.left:
            os.close(self.left.pop())
        names = map(os.fsencode, os.listdir(self._parent))
        self._removed([name for name in names if name.startswith(self._name + _LEFT)])

    def remove(self) -> None:
        """Everything, but never a tree that another attempt has begun in the meantime."""
        self.drop_left()
        if self._own is not None and not self._is_ours():
            return
        self._removed([self._name, self._name + _NOTE, self._name + _NOTE + b".new"])

    def close(self) -> None:
        """Close all that is open."""
        while self.left:
            os.close(self.left.pop())
        if self._own is not None:
            os.close(self._own)
            self._own = None

    def _is_ours(self) -> bool:
        assert self._own is not None
        try:
            return os.stat(self._name, dir_fd=self._parent, follow_symlinks=False).st_ino == os.fstat(self._own).st_ino
        except FileNotFoundError:
            return True

    def _open(self, name: bytes) -> None:
        try:
            root = os.open(name, READ_DIRECTORY, dir_fd=self._parent)
        except OSError:
            return
        try:
            fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(root)  # its builder was paused, not killed, and may go on writing
            return
        self.left.append(root)

    def _removed(self, names: list[bytes]) -> list[bytes]:
        for name in names:
            remove_tree(name, self._parent)
        return []

    def _read_note(self) -> tuple[int, str]:
        try:
            note = os.open(self._name + _NOTE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._parent)
        except FileNotFoundError:
            return -1, ""
        try:
            inode, _, mark = os.read(note, 200).decode("ascii", "replace").partition(" ")
        finally:
            os.close(note)
        return (int(inode), mark) if inode.isdigit() else (-1, "")


def forget(staging: str) -> None:
    """The tree staged there goes live: it is never to be continued."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staging + os.fsdecode(_NOTE))


def turn_back(staging: str, inode: int) -> None:
    """The tree staged there never goes live any more: it gets a name from which nothing is swapped. Not a mark beside
    it, because going back must not need room on a disk that may be full."""
    with contextlib.suppress(FileNotFoundError):
        if os.lstat(staging).st_ino == inode:
            os.rename(staging, _undone(staging, inode))


def is_turned_back(staging: str, inode: int) -> bool:
    """Whether that tree was turned back, and not discarded since."""
    return os.path.lexists(_undone(staging, inode))


def _undone(staging: str, inode: int) -> str:
    return f"{staging}{_UNDONE}{inode}"
