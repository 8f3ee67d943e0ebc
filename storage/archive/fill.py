"""Writing the bytes of restored files, from one thread of several.

Apart from building the tree, because this is what nearly all of a restore's time goes to: a small file is opened,
written, finished and closed at once; big ones, whose parts come from several segments, are kept open for a while.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator

from domain.contracts import Buffer
from storage.archive import syscalls
from storage.archive.beneath import NEW_FILE, Directories
from storage.archive.finish import Finisher
from storage.archive.layout import MIB
from storage.archive.manifest import Tree
from storage.archive.marks import Marks

_OPEN_FILES = 64
#: Fewer bytes are left to the sync at the end: beginning with each small file alone would cost more than it gains.
_MUCH = 1 * MIB


class Filler:
    """Writes files from one thread, with some of the big ones kept open."""

    def __init__(
        self,
        tree: Tree,
        parents: list[int],
        whole: list[bool],
        directories: Directories,
        finisher: Finisher,
        marks: Marks | None,
    ) -> None:
        """`whole[row]`: the file is written in one go; others exist already."""
        self._names, self._parents, self._whole = tree.names, parents, whole
        self._directories, self._finisher, self._marks = directories, finisher, marks
        self._open: OrderedDict[int, int] = OrderedDict()

    def write(self, plain: Buffer, writes: Iterator[tuple[int, int, int, int, int]]) -> tuple[int, int]:
        """Put the parts of a segment where they go; bytes and whole files written."""
        view, total, files = memoryview(plain), 0, 0
        above, place = -1, -1
        for row, start, length, offset, extent in writes:
            data = view[start : start + length]
            if self._marks is not None:
                self._marks.put(extent, data)
            if self._whole[row]:
                if self._parents[row] != above:  # files of one directory mostly lie together
                    above = self._parents[row]
                    place = self._directories.handle(above)
                handle = os.open(self._names[row], NEW_FILE, 0o600, dir_fd=place)
                try:
                    write_at(handle, data, 0)
                    self._finisher.apply(handle, row)
                finally:
                    os.close(handle)
                files += 1
            else:
                above = -1  # opening another file may close the directory in hand
                write_at(self._big(row), data, offset)
            total += length
        return total, files

    def _big(self, row: int) -> int:
        handle = self._open.get(row)
        if handle is None:
            if len(self._open) >= _OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._names[row], flags, dir_fd=self._directories.handle(self._parents[row]))
            self._open[row] = handle
        return handle

    def close(self) -> None:
        """Close everything."""
        while self._open:
            os.close(self._open.popitem()[1])
        self._directories.close()


def write_at(handle: int, data: memoryview, offset: int) -> None:
    """Write all of it, and have the disk begin with it when it is much."""
    begin, length = offset, len(data)
    while data:
        done = os.pwrite(handle, data, offset)
        data, offset = data[done:], offset + done
    if length >= _MUCH:
        syscalls.start_writing_back(handle, begin, length)
