"""Taking the files of a restore from trees that are on this node: the live one, and what an earlier attempt built.

Apart from fetching, because nothing here is believed: bytes count only when they hash to the chunks of the snapshot,
whatever their file's size and time say. They are hashed in the memory from which they are then written, or in the
copy that was made, so a service that goes on writing meanwhile changes nothing. The live tree is only read, and no
inode is shared with it. An extent is fetched unless it was found; so a file that is damaged, half written or changed
costs its own extents.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from dataclasses import dataclass
from functools import partial

import numpy as np

from domain.contracts import Watch
from storage.archive.beneath import READ_FILE, Directories
from storage.archive.fill import write_at
from storage.archive.finish import Finisher
from storage.archive.layout import HOLE, MIB, SEGMENT_LIMIT
from storage.archive.manifest import Ints, Tree
from storage.archive.marks import Marks
from storage.archive.offers import Mask, Source, worth_a_look
from storage.archive.pieces import Pieces, load
from storage.archive.pipeline import Channel, Crew
from storage.archive.published import Indexes
from storage.data_key import DataKey

#: A file of which so many extents in a row are other ones, and none is right, is given up.
_PATIENCE = 8
_BATCH = 32
_COPY = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_AGAIN = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_FICLONE = 0x40049409
_NO_CLONE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM})
_CLONE_FROM = 1 * MIB


class Reuse:
    """What one restore takes from sources. Afterwards `present` says which extents need not be fetched, `done` which
    rows are complete, and `begun` which have a file that is not."""

    def __init__(
        self, tree: Tree, root: int, finisher: Finisher, marks: Marks | None, threads: int, watch: Watch
    ) -> None:
        self.tree, self.root, self.finisher, self.marks = tree, root, finisher, marks
        self._threads, self.watch = threads, watch
        self.parents = tree.parent.tolist()
        self.present: Mask = np.zeros(len(tree.extent_segment), bool)
        self.done: Mask = np.zeros(len(tree.names), bool)
        self.begun: Mask = np.zeros(len(tree.names), bool)
        self.reused = self.kept = 0
        self.clones = True  # until the file system says otherwise
        self.first: Ints = np.cumsum(tree.extents) - tree.extents
        self._mutex = threading.Lock()

    def run(self, sources: list[Source], indexes: Indexes, key: DataKey | None) -> None:
        """Take all that is right. Raises OSError when the new tree cannot be written."""
        useful, packs = worth_a_look(self.tree, sources)
        if not packs:
            return
        pieces = load(self.tree, packs, indexes, key, self.watch)
        useful &= pieces.known
        owner = np.repeat(np.arange(len(self.tree.extents)), self.tree.extents)
        rows = np.unique(owner[useful]).tolist()
        with Crew() as crew:
            batches: Channel[list[int]] = crew.channel(2 * self._threads)
            for number in range(self._threads):
                crew.start(f"take-{number}", partial(self._take, batches, sources, pieces, useful), consumes=batches)
            for at in range(0, len(rows), _BATCH):
                batches.put(rows[at : at + _BATCH], self.watch.check)
            batches.finish()
            crew.wait("take", self.watch.check)

    def _take(self, batches: Channel[list[int]], sources: list[Source], pieces: Pieces, useful: Mask) -> None:
        taker = _Taker(self, sources, pieces, useful)
        try:
            for rows in batches:
                for row in rows:
                    taker.take(row)
        finally:
            taker.close()

    def count(self, length: int, *, ours: bool, files: int) -> None:
        """Bytes of extents that were found."""
        with self._mutex:
            if ours:
                self.kept += length
            else:
                self.reused += length
        self.watch.advance(length, files)


class _Taker:
    """Takes files in one thread."""

    def __init__(self, work: Reuse, sources: list[Source], pieces: Pieces, useful: Mask) -> None:
        self._work, self._sources, self._pieces, self._useful = work, sources, pieces, useful
        tree = work.tree
        self._names, self._parents = tree.names, work.parents
        self._buffer = memoryview(bytearray(SEGMENT_LIMIT))
        self._staged = Directories(work.root, work.parents, tree.names)
        self._there = [Directories(source.root, work.parents, tree.names) for source in sources]

    def close(self) -> None:
        for directories in [self._staged, *self._there]:
            directories.close()

    def take(self, row: int) -> None:
        """One file, from the first source that has it, and what that has not from the next."""
        work, tree = self._work, self._work.tree
        file = _File(row, int(tree.size[row]), *_extents_of(work, row))
        try:
            for source, directories in zip(self._sources, self._there, strict=True):
                if source.found[row] and not file.complete():
                    self._from(source, directories, file)
            if file.handle >= 0 and file.complete():
                work.finisher.apply(file.handle, row)
                work.done[row] = True
            elif file.handle >= 0:
                work.begun[row] = True
        finally:
            if file.handle >= 0:
                os.close(file.handle)
        for ours in (False, True):
            if length := sum(file.lengths[e] for e, how in file.found.items() if how == ours):
                work.count(length, ours=ours, files=int(work.done[row]))

    def _from(self, source: Source, directories: Directories, file: _File) -> None:
        try:
            place = directories.handle(self._parents[file.row])
            handle = os.open(self._names[file.row], READ_FILE, dir_fd=place)
        except OSError:
            return
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                return
            alone = status.st_nlink == 1 and status.st_size == file.size and not file.holes and file.handle < 0
            if source.ours and alone:
                self._move(handle, place, file)
            elif not source.ours and alone and file.size >= _CLONE_FROM and self._clone(handle, file):
                self._check(file.handle, file, ours=False, write=False)
            else:
                self._check(handle, file, ours=source.ours, write=True)
        finally:
            os.close(handle)

    def _move(self, handle: int, place: int, file: _File) -> None:
        """A file of an earlier attempt, when anything in it is right."""
        self._check(handle, file, ours=True, write=False)
        if not file.found:
            return
        name = self._names[file.row]
        staged = self._staged.handle(self._parents[file.row])
        os.fchmod(handle, 0o600)
        os.rename(name, name, src_dir_fd=place, dst_dir_fd=staged)
        file.handle = os.open(name, _AGAIN, dir_fd=staged)

    def _clone(self, handle: int, file: _File) -> bool:
        """A copy that shares the blocks on disk, where the file system can: no room, no time, and no shared inode."""
        if not self._work.clones:
            return False
        file.handle = self._create(file)
        try:
            fcntl.ioctl(file.handle, _FICLONE, handle)
        except OSError as error:
            if error.errno not in _NO_CLONE:
                raise
            self._work.clones = False
            os.ftruncate(file.handle, file.size)
            return False
        os.ftruncate(file.handle, file.size)
        return True

    def _create(self, file: _File) -> int:
        staged = self._staged.handle(self._parents[file.row])
        handle = os.open(self._names[file.row], _COPY, 0o600, dir_fd=staged)
        os.ftruncate(handle, file.size)
        return handle

    def _check(self, handle: int, file: _File, *, ours: bool, write: bool) -> None:
        """Compare the extents that are still wanted; put what is right where it goes, or find it there."""
        missed = 0
        for extent, length in file.lengths.items():
            if extent in file.found or not self._useful[extent]:
                continue
            if missed >= _PATIENCE and not file.found:
                return
            data = self._buffer[:length]
            if not _read(handle, data, file.offsets[extent]) or not self._pieces.same(extent, data):
                missed += 1
                continue
            if write:
                if file.handle < 0:
                    file.handle = self._create(file)
                write_at(file.handle, data, file.offsets[extent])
            file.found[extent] = ours
            self._work.present[extent] = True
            if self._work.marks is not None:
                self._work.marks.put(extent, data)


@dataclass(slots=True)
class _File:
    """A file that is being taken."""

    row: int
    size: int
    lengths: dict[int, int]  # of its extents that are no holes
    offsets: dict[int, int]
    holes: bool
    found: dict[int, bool]  # extents that are right, and whether they were ours
    handle: int = -1  # of the new file, once there is one

    def complete(self) -> bool:
        return len(self.found) == len(self.lengths)


def _extents_of(work: Reuse, row: int) -> tuple[dict[int, int], dict[int, int], bool, dict[int, bool]]:
    tree, first = work.tree, int(work.first[row])
    last = first + int(tree.extents[row])
    lengths, offsets, at, holes = dict[int, int](), dict[int, int](), 0, False
    columns = zip(tree.extent_segment[first:last].tolist(), tree.extent_length[first:last].tolist(), strict=True)
    for extent, (segment, length) in enumerate(columns, first):
        if segment == HOLE:
            holes = True
        else:
            lengths[extent], offsets[extent] = length, at
        at += length
    return lengths, offsets, holes, {}


def _read(handle: int, data: memoryview, offset: int) -> bool:
    """Fill `data`; False when the file is shorter or cannot be read."""
    try:
        while data:
            done = os.preadv(handle, [data], offset)
            if done == 0:
                return False
            data, offset = data[done:], offset + done
    except OSError:
        return False
    return True
