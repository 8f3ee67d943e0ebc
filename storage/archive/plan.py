"""Which bytes to fetch for a restore, in which order, and where each of them goes.

Apart from doing it, because it is arithmetic over the manifest's tables: segments in the order of their
packs, neighbours joined into one ranged read, and per segment the files that it fills. Each segment is
fetched and decompressed once, however many files need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.contracts import Buffer
from storage.archive.layout import HOLE, MIB
from storage.archive.manifest import Ints, Tree

#: A ranged read is at most this long, and reads over gaps of at most this many bytes.
RUN_BYTES = 8 * MIB
_GAP = 256 << 10


@dataclass(frozen=True, slots=True)
class Run:
    """One ranged read: segments first..last-1 of the table, in one pack."""

    pack: int
    offset: int
    length: int
    first: int
    last: int


def split(tree: Tree, run: Run, data: Buffer) -> Iterator[tuple[int, memoryview]]:
    """The segments of a run that was read: number, stored bytes."""
    view, rows = memoryview(data), tree.segments[run.first : run.last]
    for number, (offset, stored) in enumerate(zip(rows["offset"].tolist(), rows["stored"].tolist(), strict=True)):
        at = offset - run.offset
        yield run.first + number, view[at : at + stored]


class Plan:
    """The plan of one restore."""

    def __init__(self, tree: Tree, present: NDArray[np.bool_] | None = None) -> None:
        """`present`: extents that are there already; without it every segment is read, needed or not."""
        self._tree = tree
        counts = tree.extents
        owner = np.repeat(np.arange(len(counts)), counts)
        total = np.cumsum(tree.extent_length) - tree.extent_length
        first = np.cumsum(counts) - counts
        offset = total - np.repeat(total[first[counts > 0]], counts[counts > 0])
        real = tree.extent_segment != HOLE
        if present is not None:
            real &= ~present
        order = np.nonzero(real)[0][np.argsort(tree.extent_segment[real], kind="stable")]
        self._row, self._offset, self._extent = owner[order], offset[order], order
        self._start, self._length = tree.extent_offset[order], tree.extent_length[order]
        numbers = np.arange(len(tree.segments) + 1)
        self._bounds: Ints = np.searchsorted(tree.extent_segment[order], numbers)
        needed = np.diff(self._bounds) > 0 if present is not None else np.ones(len(tree.segments), bool)
        self._needed: list[int] = np.nonzero(needed)[0].tolist()
        #: Bytes that will be written; holes are not.
        self.bytes = int(self._length.sum())

    def runs(self) -> Iterator[Run]:
        """The ranged reads; what lies between two needed segments is read over when it is short."""
        packs, segments = self._tree.segments["pack"].tolist(), self._tree.segments
        starts = segments["offset"].astype(np.int64)
        ends = (starts + segments["stored"]).tolist()
        begin = last = -1
        for number in self._needed:
            if begin >= 0 and not self._joins(packs, starts, ends, begin, last, number):
                yield Run(packs[begin], int(starts[begin]), ends[last] - int(starts[begin]), begin, last + 1)
                begin = -1
            begin, last = number if begin < 0 else begin, number
        if begin >= 0:
            yield Run(packs[begin], int(starts[begin]), ends[last] - int(starts[begin]), begin, last + 1)

    @staticmethod
    def _joins(packs: list[int], starts: Ints, ends: list[int], begin: int, last: int, number: int) -> bool:
        return bool(
            packs[number] == packs[begin]
            and starts[number] - ends[last] <= _GAP
            and ends[number] - starts[begin] <= RUN_BYTES
        )

    def needs(self, segment: int) -> bool:
        """Whether anything is made of it."""
        return bool(self._bounds[segment] < self._bounds[segment + 1])

    def writes(self, segment: int) -> Iterator[tuple[int, int, int, int, int]]:
        """What to do with a segment: row, start in the segment, length, offset in the file, number of the extent."""
        at = slice(int(self._bounds[segment]), int(self._bounds[segment + 1]))
        columns = (self._row, self._start, self._length, self._offset, self._extent)
        return zip(*(column[at].tolist() for column in columns), strict=True)
