"""The parent snapshot, as a new one sees it: which files are unchanged, which chunks are stored.

Apart from the manifest, because it is asked by name, directory by directory, while the new tree is
walked, and must not turn a million rows into objects. Its chunk ids are loaded, from the indexes of its
packs, only when the first changed file is read. Says nothing it is not sure of: a parent of which any
pack is missing is no parent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from domain.errors import Damaged
from storage.archive.known import OldChunks
from storage.archive.manifest import Header, Tree
from storage.archive.pack import SEGMENT_ROW, PackIndex

#: A file whose ctime is later than this before the parent began may have changed within one tick of
#: the file system's clock after it was read: it is read again.
RACY_NS = 2_000_000_000


def sure(tree: Tree, began_ms: int) -> Tree:
    """The tree without the ctimes that a later snapshot must not trust, by the clock of the node that read it: what a
    snapshot is dated by may be another one's."""
    settled = tree.ctime < began_ms * 1_000_000 - RACY_NS
    return dataclasses.replace(tree, ctime=np.where(settled, tree.ctime, 0))


class Former:
    """Look-ups in the parent's tree."""

    def __init__(self, header: Header, tree: Tree, load_index: Callable[[str, int], PackIndex]) -> None:
        """`load_index(pack name, pack bytes)` fetches and checks the index of one of its packs."""
        self.header, self.tree = header, tree
        self.settled_before = header.taken_at * 1_000_000 - RACY_NS
        self.segments = tree.segments  # grows by those of its packs that it did not use itself
        self._load_index = load_index
        self._first, self._last = _children(tree)

    def children(self, directory: int) -> tuple[int, int]:
        """The rows first..last-1 of what is in the directory."""
        return int(self._first[directory]), int(self._last[directory])

    def match(self, directory: int, names: list[bytes]) -> list[int]:
        """The row of each name in that directory, or -1."""
        first, last = self.children(directory)
        if self.tree.names[first:last] == names:
            return list(range(first, last))
        rows = dict(zip(self.tree.names[first:last], range(first, last), strict=True))
        return [rows.get(name, -1) for name in names]

    def load_chunks(self) -> OldChunks:
        """Every chunk in the parent's packs, with the number of its segment in `segments`."""
        numbers = {
            (int(pack), int(offset)): number
            for number, (pack, offset) in enumerate(zip(self.segments["pack"], self.segments["offset"], strict=True))
        }
        ids, segments, offsets, tree = [], [], [], self.tree
        extra: list[NDArray[np.void]] = []
        for pack, (name, size) in enumerate(zip(tree.packs, tree.pack_bytes.tolist(), strict=True)):
            try:
                index = self._load_index(name, size)
            except Damaged:
                continue  # its chunks cannot be found again; its segments may still be whole
            if not agree(tree.segments[tree.segments["pack"] == pack], index.segments):
                continue  # each vouches for itself and they disagree: the manifest counts, the index is not used
            mapping = np.zeros(len(index.segments), np.uint32)
            for row, offset in enumerate(index.segments["offset"].tolist()):
                number = numbers.get((pack, offset))
                if number is None:
                    number = len(self.segments) + len(extra)
                    found = index.segments[row : row + 1].copy()
                    found["pack"] = pack
                    extra.append(found)
                mapping[row] = number
            ids.append(index.chunk_id)
            segments.append(mapping[index.chunk_segment])
            offsets.append(index.chunk_offset)
        self.segments = np.concatenate([self.segments, *extra])
        return OldChunks.build(
            np.concatenate([np.zeros(0, "V16"), *ids]),
            np.concatenate([np.zeros(0, np.uint32), *segments]),
            np.concatenate([np.zeros(0, np.uint32), *offsets]),
        )


def agree(used: NDArray[np.void], listed: NDArray[np.void]) -> bool:
    """Whether the index of a pack lists the segments that the manifest uses of it as the manifest does."""
    at = np.searchsorted(listed["offset"], used["offset"])
    if (at >= len(listed)).any():
        return False
    names = ("offset", "stored", "plain", "flags", "digest")
    return all(
        np.ascontiguousarray(listed[name][at]).tobytes() == np.ascontiguousarray(used[name]).tobytes() for name in names
    )


def _children(tree: Tree) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rows = len(tree.names)
    first, last = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    if rows > 1:
        above = tree.parent[1:]
        starts = np.concatenate([[0], np.nonzero(above[1:] != above[:-1])[0] + 1])
        ends = np.concatenate([starts[1:], [rows - 1]])
        first[above[starts]] = starts + 1
        last[above[starts]] = ends + 1
    return first, last


NO_SEGMENTS = np.zeros(0, SEGMENT_ROW)
