"""Which bytes to fetch for a restore, in which order, and where each of them goes.

Apart from doing it, because it is arithmetic over the manifest's tables: segments in the order of their
packs, neighbours joined into one ranged read, and per segment the files that it fills. Each segment is
fetched and decompressed once, however many files need it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

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

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        counts = tree.extents
        owner = np.repeat(np.arange(len(counts)), counts)
        total = np.cumsum(tree.extent_length) - tree.extent_length
        first = np.cumsum(counts) - counts
        offset = total - np.repeat(total[first[counts > 0]], counts[counts > 0])
        real = tree.extent_segment != HOLE
        order = np.nonzero(real)[0][np.argsort(tree.extent_segment[real], kind="stable")]
        self._row, self._offset = owner[order], offset[order]
        self._start, self._length = tree.extent_offset[order], tree.extent_length[order]
        numbers = np.arange(len(tree.segments) + 1)
        self._bounds: Ints = np.searchsorted(tree.extent_segment[order], numbers)
        #: Bytes that will be written; holes are not.
        self.bytes = int(self._length.sum())

    def runs(self) -> Iterator[Run]:
        """The ranged reads."""
        packs, segments = self._tree.segments["pack"].tolist(), self._tree.segments
        starts = segments["offset"].astype(np.int64)
        ends = (starts + segments["stored"]).tolist()
        begin = 0
        for number in range(1, len(packs) + 1):
            if number < len(packs) and self._joins(packs, starts, ends, begin, number):
                continue
            offset = int(starts[begin])
            yield Run(packs[begin], offset, ends[number - 1] - offset, begin, number)
            begin = number

    @staticmethod
    def _joins(packs: list[int], starts: Ints, ends: list[int], begin: int, number: int) -> bool:
        return bool(
            packs[number] == packs[begin]
            and starts[number] - ends[number - 1] <= _GAP
            and ends[number] - starts[begin] <= RUN_BYTES
        )

    def writes(self, segment: int) -> Iterator[tuple[int, int, int, int]]:
        """What to do with a segment: row, start in the segment, length, offset in the file."""
        at = slice(int(self._bounds[segment]), int(self._bounds[segment + 1]))
        columns = (self._row, self._start, self._length, self._offset)
        return zip(*(column[at].tolist() for column in columns), strict=True)
