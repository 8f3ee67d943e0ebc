"""Reading a staged tree again, from the disk, before it takes the live one's place.

Apart from staging, which checks every byte on its way to the disk and cannot know what the disk made of it. Here each
name, kind, size, mode, owner, time, attribute and byte is compared with what was to be written; cached pages are
dropped first as far as the kernel allows. It costs about as much as the restore, so it is done when it is asked for.
"""

from __future__ import annotations

import os
import stat
import threading
from functools import partial

from domain.contracts import Watch
from domain.errors import Refused
from storage.archive import attributes, published
from storage.archive.beneath import READ_FILE, Directories
from storage.archive.finish import Finisher
from storage.archive.layout import HOLE, MIB, SEGMENT_LIMIT
from storage.archive.manifest import Tree
from storage.archive.marks import Marks
from storage.archive.pipeline import Channel, Crew

_BATCH = 64
_NAMED = 20
_BLOCK = 1 * MIB


def reread(
    tree: Tree, root: int, finisher: Finisher, marks: Marks, besides: set[int], threads: int, watch: Watch
) -> tuple[str, ...]:
    """Compare all rows but `besides` with the tree at `root`; what could not be read because of its mode, in words.
    Raises Refused(code="restored-differently")."""
    looking = _Looking(tree, root, finisher, marks, watch)
    with Crew() as crew:
        batches: Channel[list[int]] = crew.channel(2 * threads)
        for number in range(threads):
            crew.start(f"reread-{number}", partial(looking.run, batches), consumes=batches)
        rows = [row for row in range(len(tree.names)) if row not in besides]
        for at in range(0, len(rows), _BATCH):
            batches.put(rows[at : at + _BATCH], watch.check)
        batches.finish()
        crew.wait("reread", watch.check)
    if looking.wrong:
        named = ", ".join(sorted(looking.wrong)[:_NAMED])
        raise Refused(
            f"{len(looking.wrong)} entries of the restored tree do not read back as they were written: {named}",
            code="restored-differently",
            next_step="the target is untouched; look at the disk of this node, then publish the restore again",
        )
    return tuple(f"could not be read again: {path}" for path in sorted(looking.closed)[:_NAMED])


class _Looking:
    """One look, from several threads."""

    def __init__(self, tree: Tree, root: int, finisher: Finisher, marks: Marks, watch: Watch) -> None:
        self._tree, self._root, self._finisher, self._marks, self._watch = tree, root, finisher, marks, watch
        self._parents = tree.parent.tolist()
        self._first = (tree.extents.cumsum() - tree.extents).tolist()
        self._mutex = threading.Lock()
        self.wrong: set[str] = set()
        self.closed: set[str] = set()

    def run(self, batches: Channel[list[int]]) -> None:
        directories = Directories(self._root, self._parents, self._tree.names)
        buffer = memoryview(bytearray(SEGMENT_LIMIT))
        try:
            for rows in batches:
                for row in rows:
                    self._watch.check()
                    self._row(row, directories, buffer)
        finally:
            directories.close()

    def _row(self, row: int, directories: Directories, buffer: memoryview) -> None:
        try:
            right = self._right(row, directories, buffer)
        except PermissionError:
            # Only its owner's rights stand in the way; as root there is no such file.
            with self._mutex:
                self.closed.add(published.path_of(self._tree, row))
            return
        except OSError:
            right = False
        if not right:
            with self._mutex:
                self.wrong.add(published.path_of(self._tree, row))

    def _right(self, row: int, directories: Directories, buffer: memoryview) -> bool:
        tree, name = self._tree, self._tree.names[row]
        if stat.S_ISDIR(int(tree.mode[row])):
            handle = directories.handle(row)
            return self._dressed(row, os.fstat(handle)) and self._attributes(row, handle)
        place = directories.handle(self._parents[row])
        if stat.S_ISLNK(int(tree.mode[row])):
            status = os.stat(name, dir_fd=place, follow_symlinks=False)
            return self._dressed(row, status) and os.readlink(name, dir_fd=place) == tree.links[row]
        handle = os.open(name, READ_FILE, dir_fd=place)
        try:
            status = os.fstat(handle)
            first = tree.twins.get(row)
            if first is not None:
                above = directories.handle(self._parents[first])
                return os.stat(tree.names[first], dir_fd=above, follow_symlinks=False).st_ino == status.st_ino
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            dressed = self._dressed(row, status) and status.st_size == int(tree.size[row])
            return dressed and self._attributes(row, handle) and self._content(row, handle, buffer)
        finally:
            os.close(handle)

    def _dressed(self, row: int, status: os.stat_result) -> bool:
        tree = self._tree
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(int(tree.mode[row])):
            return False
        owner = (int(tree.uid[row]), int(tree.gid[row]))
        owned = self._finisher.other_owner[row] or (status.st_uid, status.st_gid) == owner
        mode = stat.S_ISLNK(status.st_mode) or stat.S_IMODE(status.st_mode) == self._finisher.mode_of(row)
        return owned and mode and status.st_mtime_ns == int(tree.mtime[row])

    def _attributes(self, row: int, handle: int) -> bool:
        wanted = self._tree.attributes.get(row, b"")
        return row in self._finisher.other_attributes or attributes.read(handle) == wanted

    def _content(self, row: int, handle: int, buffer: memoryview) -> bool:
        tree, at = self._tree, 0
        first = self._first[row]
        for extent in range(first, first + int(tree.extents[row])):
            length = int(tree.extent_length[extent])
            if int(tree.extent_segment[extent]) == HOLE:
                right = _is_hole(handle, at, at + length)
            else:
                right = _filled(handle, buffer[:length], at) and self._marks.same(extent, buffer[:length])
            if not right:
                return False
            at += length
        return True


def _filled(handle: int, data: memoryview, offset: int) -> bool:
    while data:
        done = os.preadv(handle, [data], offset)
        if done == 0:
            return False
        data, offset = data[done:], offset + done
    return True


def _is_hole(handle: int, start: int, end: int) -> bool:
    """Whether it reads as zeros, quick where nothing is stored."""
    while start < end:
        try:
            start = os.lseek(handle, start, os.SEEK_DATA)
        except OSError:
            return True  # nothing but holes up to the end
        if start < end and os.pread(handle, min(_BLOCK, end - start), start).strip(b"\0"):
            return False
        start += _BLOCK
    return True
