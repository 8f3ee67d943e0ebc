"""The ids of the chunks that each extent of a tree is made of, so that bytes which are on this node are recognised.

Apart from planning, which needs the manifest only: its digests are of whole segments, which one changed file spoils,
while the index of a pack names every chunk. Where an index is damaged or contradicts the manifest nothing is
recognised, and the bytes are fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from domain.contracts import Watch
from domain.errors import Damaged
from storage.archive import digest
from storage.archive.former import agree
from storage.archive.layout import HOLE
from storage.archive.manifest import Ints, Tree
from storage.archive.pack import PackIndex
from storage.archive.pipeline import Channel, Crew
from storage.archive.published import Indexes
from storage.data_key import DataKey

#: Indexes that are fetched at once.
_READERS = 4


def load(tree: Tree, packs: Sequence[int], indexes: Indexes, key: DataKey | None, watch: Watch) -> Pieces:
    """The pieces of what lies in these packs. Raises StoreUnavailable."""
    found: dict[int, PackIndex] = {}
    with Crew() as crew:
        wanted: Channel[int] = crew.channel(_READERS)
        for number in range(min(_READERS, len(packs))):
            crew.start(f"index-{number}", partial(_fetch, tree, wanted, indexes, found), consumes=wanted)
        for pack in packs:
            wanted.put(pack, watch.check)
        wanted.finish()
        crew.wait("index", watch.check)
    return Pieces(tree, found, key)


def _fetch(tree: Tree, wanted: Channel[int], indexes: Indexes, found: dict[int, PackIndex]) -> None:
    for pack in wanted:
        try:
            index = indexes.load(tree.packs[pack], int(tree.pack_bytes[pack]))
        except Damaged:
            continue  # its segments may still be whole
        if agree(tree.segments[tree.segments["pack"] == pack], index.segments):
            found[pack] = index


class Pieces:
    """Chunks in the order of the tree's segments. Safe to share between threads."""

    def __init__(self, tree: Tree, found: dict[int, PackIndex], key: DataKey | None) -> None:
        self._name = digest.namer(None if key is None else key.naming)
        keys: list[Ints] = [np.zeros(0, np.int64)]
        lengths, ids = [np.zeros(0, np.uint32)], [np.zeros(0, "V16")]
        for pack in sorted(found):
            numbers = _numbers(tree, pack, found[pack])[found[pack].chunk_segment]
            used = numbers >= 0
            keys.append(_place(numbers[used], found[pack].chunk_offset[used]))
            lengths.append(found[pack].chunk_length[used])
            ids.append(found[pack].chunk_id[used])
        self._lengths, self._ids = np.concatenate(lengths), np.concatenate(ids).tobytes()
        self._first, self._last = _spans(tree, np.concatenate(keys), self._lengths)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which extents can be recognised."""
        return self._first >= 0

    def same(self, extent: int, data: memoryview) -> bool:
        """Whether these are the bytes of the extent."""
        first, last = int(self._first[extent]), int(self._last[extent])
        if first < 0:
            return False
        at, ids = 0, self._ids
        for number, length in enumerate(self._lengths[first:last].tolist(), first):
            if self._name(data[at : at + length]) != ids[16 * number : 16 * number + 16]:
                return False
            at += length
        return at == len(data)


def _numbers(tree: Tree, pack: int, index: PackIndex) -> Ints:
    """For each segment of the index its row in the tree's table, or -1."""
    own = np.nonzero(tree.segments["pack"] == pack)[0]
    numbers = np.full(len(index.segments), -1, np.int64)
    numbers[np.searchsorted(index.segments["offset"], tree.segments["offset"][own])] = own
    return numbers


def _place(segment: Ints, offset: Ints) -> Ints:
    placed: Ints = segment.astype(np.int64) << 32 | offset.astype(np.int64)
    return placed


def _spans(tree: Tree, keys: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """For each extent its chunks first..last-1, or -1 where chunks do not begin and end as it does."""
    segment = np.where(tree.extent_segment == HOLE, 0, tree.extent_segment)
    start = _place(segment, tree.extent_offset)
    end = start + tree.extent_length
    first, last = np.searchsorted(keys, start), np.searchsorted(keys, end)
    if not len(keys):
        return np.full(len(start), -1), np.full(len(start), -1)
    begins = keys[np.minimum(first, len(keys) - 1)] == start
    ends = (last > first) & (keys[last - 1] + lengths[last - 1] == end)
    whole = begins & ends & (tree.extent_segment != HOLE)
    return np.where(whole, first, -1), np.where(whole, last, -1)
