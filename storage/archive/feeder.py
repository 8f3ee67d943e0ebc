"""Reading files: small ones side by side into a segment's buffer, big ones block by block.

Apart from the walker, which decides what is read, and from compressing, which happens in other threads:
this is the one thread that touches the tree. A file counts as read when size, mtime and ctime were the
same before and after; else it is read again, at last kept as it was read and listed as unstable. Files
are opened some way ahead, so that the disk can work meanwhile.
"""

from __future__ import annotations

import errno
import os
import stat
from array import array
from collections import deque
from collections.abc import Callable

from domain.contracts import Fill, Watch
from storage.archive import attributes, layout
from storage.archive.beneath import READ_FILE
from storage.archive.blocks import Blocks
from storage.archive.digest import Namer
from storage.archive.entries import Entries
from storage.archive.jobs import Job, Piece, SegmentJob
from storage.archive.known import Known, place
from storage.archive.layout import SEGMENT_TARGET, WHOLE_FILE
from storage.archive.pack import Chunk
from storage.archive.pipeline import Channel
from storage.archive.walker import GONE, UNREADABLE

#: A file that keeps changing is read this many times in all.
TIMES_READ = 4
#: Files open at once, besides directories; and how much of each the kernel is asked to fetch.
AHEAD = 64
_FETCH = 4 << 20

Opener = Callable[[bytes, int], int]


def open_beneath(name: bytes, directory: int) -> int:
    """Open a file in an open directory for reading; never through a link, never waiting for a FIFO."""
    return os.open(name, READ_FILE, dir_fd=directory)


class Feeder:
    """Reads the files of one snapshot. Used from one thread."""

    def __init__(
        self,
        entries: Entries,
        known: Known,
        jobs: Channel[Job],
        buffers: Channel[bytearray],
        watch: Watch,
        name: Namer,
        opener: Opener = open_beneath,
    ) -> None:
        """`name` gives chunks their ids."""
        self._entries, self._known, self._jobs, self._buffers, self._watch = entries, known, jobs, buffers, watch
        self._opener, self._name = opener, name
        self._ahead: deque[tuple[int, int]] = deque()  # row, open file
        self.blocks = Blocks(jobs, buffers, watch)
        self._buffer: bytearray | None = None  # of the segment that is being filled
        self._used, self._slot = 0, 0
        self._chunks: list[Chunk] = []
        #: Files of one chunk: row, place, length.
        self.small_row, self.small_place, self.small_length = array("q"), array("q"), array("q")
        self.big: list[tuple[int, list[Piece]]] = []
        self.gone: set[int] = set()  # rows that vanished, or could not be read, after all
        self._since_told = [0, 0]

    def take(self, row: int, directory: int, name: bytes, listed: os.stat_result | None = None) -> bool:
        """Open the file now, and read it once `AHEAD` more have been opened; whether it is the one that was listed."""
        try:
            handle = self._opener(name, directory)
        except OSError as error:
            self._left_out(row, error)
            return False
        same = listed is None or os.path.samestat(os.fstat(handle), listed)
        self._ahead.append((row, handle))
        os.posix_fadvise(handle, 0, _FETCH, os.POSIX_FADV_WILLNEED)
        if len(self._ahead) > AHEAD:
            self._next()
        return same

    def finish(self) -> None:
        """Read what is open and hand over the last segment."""
        while self._ahead:
            self._next()
        self._flush()
        self._tell(0, 0)

    def close(self) -> None:
        """Close what is still open, after a failure."""
        while self._ahead:
            os.close(self._ahead.popleft()[1])

    def _next(self) -> None:
        row, handle = self._ahead.popleft()
        try:
            self._read(row, handle)
        except OSError as error:
            self._left_out(row, error)
        finally:
            os.close(handle)

    def _left_out(self, row: int, error: OSError) -> None:
        entries = self._entries
        if error.errno in GONE:
            entries.unstable.append(entries.path(row))
        elif error.errno in UNREADABLE:
            entries.skipped.append(entries.path(row))
        else:
            raise error
        self.gone.add(row)

    def _read(self, row: int, handle: int) -> None:
        before = os.fstat(handle)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.ENOENT, "no longer a file")
        found = b""
        for _ in range(TIMES_READ):
            size, commit = self._once(row, handle, before)
            found = attributes.read(handle)
            after = os.fstat(handle)
            stable = size == after.st_size and _same(before, after)
            if stable:
                break
            before = after
        else:
            self._entries.unstable.append(self._entries.path(row))
        commit()
        self._record(row, after, size, found)
        self._tell(size, 1)

    def _once(self, row: int, handle: int, status: os.stat_result) -> tuple[int, Callable[[], None]]:
        """Read the file once: bytes found, and what to call if this reading is the one that counts."""
        if status.st_size < WHOLE_FILE:
            return self._small(row, handle, status.st_size)
        return self._big(row, handle, status)

    def _small(self, row: int, handle: int, size: int) -> tuple[int, Callable[[], None]]:
        view = self._room(size)
        found = _read_into(handle, view, 0)
        return found, lambda: self._place(row, view[:found])

    def small(self, row: int, size: int, fill: Fill) -> int:
        """Take a file of less than `WHOLE_FILE` bytes that is no file of this node; how many bytes there were."""
        view = self._room(size)
        found = fill(view)
        self._place(row, view[:found])
        self._tell(found, 1)
        return found

    def _room(self, size: int) -> memoryview:
        """Where so many bytes go, in the segment that is being filled or in the next one."""
        if self._buffer is not None and self._used + size > SEGMENT_TARGET + WHOLE_FILE:
            self._flush()
        if self._buffer is None:
            self._buffer = self.blocks.take()
            self._slot = self._known.slot()
        return memoryview(self._buffer)[self._used : self._used + size]

    def _place(self, row: int, data: memoryview) -> None:
        if not data:
            return
        name, here = self._name(data), place(self._slot, self._used)
        where = self._known.claim(name, here)
        if where == here:
            self._chunks.append((name, len(data)))
            self._used += len(data)
        self.small_row.append(row)
        self.small_place.append(where)
        self.small_length.append(len(data))
        if self._used >= SEGMENT_TARGET or len(self._chunks) >= layout.SEGMENT_CHUNKS:
            self._flush()

    def _flush(self) -> None:
        if self._buffer is None:
            return
        if self._used:
            self._jobs.put(SegmentJob(self._buffer, self._used, self._slot, self._chunks), self._watch.check)
        else:
            self._buffers.put(self._buffer)
        self._buffer, self._used, self._chunks = None, 0, []

    def _big(self, row: int, handle: int, status: os.stat_result) -> tuple[int, Callable[[], None]]:
        pieces: list[Piece] = []
        done = 0
        for start, end in _regions(handle, status):
            if start > done:
                pieces.append(Piece.hole(start - done))
            found = self._region(handle, start, end, pieces)
            done = start + found
            if done < end:
                break  # it shrank
        return done, lambda: self.big.append((row, pieces))

    def _region(self, handle: int, start: int, end: int, pieces: list[Piece]) -> int:
        """Cut and hand over the bytes start..end; how many there were."""
        if start == end:
            return 0
        position = start

        def fill(view: memoryview) -> int:
            nonlocal position
            found = _read_into(handle, view, position)
            position += found
            return found

        return self.blocks.by_content(fill, pieces, end - start)

    def _record(self, row: int, status: os.stat_result, size: int, found: bytes) -> None:
        """What is true of the file as it was read, which may be later than the walk."""
        entries = self._entries
        entries.mode[row] = status.st_mode
        entries.uid[row], entries.gid[row] = status.st_uid, status.st_gid
        entries.mtime[row], entries.ctime[row] = status.st_mtime_ns, status.st_ctime_ns
        entries.size[row], entries.inode[row] = size, status.st_ino
        if found:
            entries.attributes[row] = found

    def _tell(self, bytes_done: int, files_done: int) -> None:
        """Report progress, but not for each of a thousand small files."""
        told = self._since_told
        told[0] += bytes_done
        told[1] += files_done
        if told[0] >= WHOLE_FILE or told[1] >= 256 or not files_done:
            self._watch.advance(*told)
            self._since_told = [0, 0]


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (
        before.st_size == after.st_size
        and before.st_mtime_ns == after.st_mtime_ns
        and before.st_ctime_ns == after.st_ctime_ns
    )


def _read_into(handle: int, view: memoryview, offset: int) -> int:
    """Fill `view` from the file; fewer bytes only when the file ends before."""
    done = 0
    while done < len(view):
        found = os.preadv(handle, (view[done:],), offset + done)
        if found == 0:
            break
        done += found
    return done


def _regions(handle: int, status: os.stat_result) -> list[tuple[int, int]]:
    """Where a file has data: start and end of each run. An empty run stands for a hole at the end."""
    size = status.st_size
    if status.st_blocks * 512 >= size:
        return [(0, size)]
    found, position = [], 0
    try:
        while position < size:
            start = os.lseek(handle, position, os.SEEK_DATA)
            position = min(os.lseek(handle, start, os.SEEK_HOLE), size)
            if start < position:
                found.append((start, position))
    except OSError as error:
        if error.errno == errno.EINVAL and not found:
            return [(0, size)]  # a file system that does not tell
        if error.errno != errno.ENXIO:
            raise
    if not found or found[-1][1] < size:
        found.append((size, size))
    return found
