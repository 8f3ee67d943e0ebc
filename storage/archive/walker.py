"""Walking a live tree: one row per name, and one call per file that must be read.

Apart from reading files, because a file that is unchanged since the parent snapshot is never opened: the
walk alone decides that, from size, mtime, ctime and inode. Works relative to open directories, never
changes directory, follows no link and stays on one file system; what it leaves out is listed.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from typing import Protocol

from domain.contracts import Watch
from storage.archive import attributes
from storage.archive.beneath import Directories
from storage.archive.entries import Entries
from storage.archive.exclusion import OWN_PREFIX, Exclusion
from storage.archive.former import Former
from storage.archive.layout import DEPTH_LIMIT, ENTRIES_LIMIT, LINK_LIMIT
from storage.archive.streams import append_row

#: A directory or entry with one of these is left out and listed; any other error is not expected.
UNREADABLE = frozenset(
    {errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EOVERFLOW, errno.ETXTBSY}
)
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})

#: Size, mtime, ctime, inode.
Seen = tuple[int, int, int, int]
#: Row in the parent, and what that one had.
Fact = tuple[int, int, int, int, int]


class Reading(Protocol):
    """What the walker does with a file that is new or changed."""

    def __call__(self, row: int, directory: int, name: bytes, listed: os.stat_result | None = None) -> bool:
        """Open it now, in `directory`, which is open for the duration of the call; True if that is still the file
        that was `listed`, or when none is given."""


class Walker:
    """One walk of one tree."""

    def __init__(
        self,
        root: int,
        entries: Entries,
        exclusion: Exclusion,
        former: Former | None,
        read: Reading,
        watch: Watch,
        place: bytes | None = None,
    ) -> None:
        """`root` is an open directory and stays the caller's. `place` is the name of a directory that is to stand in
        the root beside what is there, empty: see `place_row`."""
        self._place = place
        #: The row of `place`.
        self.place_row = -1
        self._entries, self._exclusion, self._former, self._read, self._watch = entries, exclusion, former, read, watch
        self._settled_before = former.settled_before if former is not None else 0
        self._root_status = os.fstat(root)
        self._directories = Directories(root, entries.parent, entries.name)
        #: Of device and inode of files with several names: the first name's row, and the file as it was seen there.
        self._first_name: dict[tuple[int, int], tuple[int, Seen]] = {}
        # Apart from the directory in hand, whose handle must stay open while a first name is looked up.
        self._first_directories = Directories(root, entries.parent, entries.name)
        self._pending: list[tuple[int, int, int]] = []  # row, the parent's row or -1, depth
        #: Files taken over from the parent: row here, row there.
        self.unchanged = array("q")
        self.unchanged_there = array("q")

    def run(self) -> None:
        """Walk. Raises what `watch` or `read` raise."""
        self._append(-1, b"", self._root_status)
        self._pending.append((0, 0 if self._former is not None else -1, 0))
        try:
            while self._pending:
                self._watch.check()
                self._directory(*self._pending.pop())
        finally:
            self._directories.close()
            self._first_directories.close()

    def _append(self, parent: int, name: bytes, status: os.stat_result) -> int:
        entries = self._entries
        entries.parent.append(max(parent, 0))
        entries.name.append(name)
        entries.mode.append(status.st_mode)
        entries.uid.append(status.st_uid)
        entries.gid.append(status.st_gid)
        entries.mtime.append(status.st_mtime_ns)
        entries.size.append(0)
        entries.ctime.append(0)
        entries.inode.append(0)
        return len(entries.name) - 1

    def _directory(self, row: int, former_row: int, depth: int) -> None:
        """Append what is in the directory; remember the directories in it for later, in order."""
        try:
            handle = self._directories.handle(row)
            found = self._list(handle, row)
            if found_attributes := attributes.read(handle):
                self._entries.attributes[row] = found_attributes
        except OSError as error:
            if error.errno not in UNREADABLE | GONE:
                raise
            self._entries.skipped.append(self._entries.path(row) or b".")
            return
        path = self._entries.path(row) if self._exclusion.active else b""
        if self._exclusion.active:
            found = [item for item in found if not self._left_out(path, *item)]
        if row == 0 and self._place is not None:
            found = sorted([*found, (self._place, self._root_status)], key=_name_of)
        matched = self._match(former_row, [name for name, _ in found])
        inside = []
        for (name, status), fact in zip(found, matched, strict=True):
            kind = status.st_mode & 0o170000
            if row == 0 and name == self._place:
                self.place_row = append_row(self._entries, row, name)
            elif kind == stat.S_IFREG:
                self._file(row, handle, name, status, fact)
            elif kind == stat.S_IFDIR:
                if status.st_dev != self._root_status.st_dev or depth + 1 > DEPTH_LIMIT:
                    self._skip(row, name)
                else:
                    inside.append((self._append(row, name, status), fact[0] if fact is not None else -1, depth + 1))
            elif kind == stat.S_IFLNK:
                self._link(row, handle, name, status)
            elif kind == stat.S_IFSOCK:
                self._entries.sockets.append(self._beneath(row, name))
            else:
                self._skip(row, name)
        self._pending.extend(reversed(inside))
        if len(self._entries) > ENTRIES_LIMIT:
            raise OverflowError(f"more than {ENTRIES_LIMIT} entries in one directory tree")

    def _list(self, handle: int, row: int) -> list[tuple[bytes, os.stat_result]]:
        """Names, as bytes and sorted, with their status."""
        found = []
        with os.scandir(handle) as listing:
            for entry in listing:
                name = os.fsencode(entry.name)
                if row == 0 and name.startswith(OWN_PREFIX):
                    continue
                try:
                    found.append((name, entry.stat(follow_symlinks=False)))
                except OSError as error:
                    if error.errno not in GONE:  # gone since it was listed: as if it had never been there
                        if error.errno not in UNREADABLE:
                            raise
                        self._skip(row, name)
        found.sort(key=_name_of)
        return found

    def _left_out(self, path: bytes, name: bytes, status: os.stat_result) -> bool:
        full = path + b"/" + name if path else name
        return self._exclusion.leaves_out(full, stat.S_ISDIR(status.st_mode))

    def _match(self, former_row: int, names: list[bytes]) -> list[Fact | None]:
        """For each name what the parent knows of it, or None."""
        former = self._former
        if former is None or former_row < 0:
            return [None] * len(names)
        first, last = former.children(former_row)
        tree = former.tree
        columns = (tree.size, tree.mtime, tree.ctime, tree.inode)
        facts = list(zip(range(first, last), *(column[first:last].tolist() for column in columns), strict=True))
        return [facts[row - first] if row >= 0 else None for row in former.match(former_row, names)]

    def _file(self, parent: int, handle: int, name: bytes, status: os.stat_result, fact: Fact | None) -> None:
        entries = self._entries
        row = self._append(parent, name, status)
        several = status if status.st_nlink > 1 else None
        seen = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        if several is not None:
            first, seen_there = self._first_name.setdefault((status.st_dev, status.st_ino), (row, seen))
            if first != row and (seen == seen_there or self._is_still(first, status)):
                entries.twin[row] = first
                return
            self._first_name[status.st_dev, status.st_ino] = row, seen
        if fact is not None and fact[1:] == seen and status.st_ctime_ns < self._settled_before:
            entries.size[row] = status.st_size
            entries.ctime[row] = status.st_ctime_ns
            entries.inode[row] = status.st_ino
            self.unchanged.append(row)
            self.unchanged_there.append(fact[0])
        elif not self._read(row, handle, name, several) and several is not None:
            # Another file has taken the name since it was listed, so the next name is the first of this one.
            del self._first_name[status.st_dev, status.st_ino]

    def _is_still(self, row: int, status: os.stat_result) -> bool:
        """Whether that name is this file. An inode that was given up is soon another file's."""
        entries = self._entries
        try:
            there = self._first_directories.handle(entries.parent[row])
            return os.path.samestat(os.stat(entries.name[row], dir_fd=there, follow_symlinks=False), status)
        except OSError:
            return False

    def _link(self, parent: int, handle: int, name: bytes, status: os.stat_result) -> None:
        try:
            target = os.readlink(name, dir_fd=handle)
        except OSError as error:
            if error.errno not in UNREADABLE | GONE | {errno.EINVAL}:
                raise
            self._skip(parent, name)
            return
        if not 0 < len(target) <= LINK_LIMIT:
            self._skip(parent, name)
            return
        self._entries.link[self._append(parent, name, status)] = target

    def _skip(self, parent: int, name: bytes) -> None:
        self._entries.skipped.append(self._beneath(parent, name))

    def _beneath(self, parent: int, name: bytes) -> bytes:
        above = self._entries.path(parent)
        return above + b"/" + name if above else name


def _name_of(item: tuple[bytes, os.stat_result]) -> bytes:
    return item[0]
