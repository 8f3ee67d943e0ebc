"""What trees on this node may have of a snapshot, by names and sizes, and where it is worth to look closer.

Apart from taking it, because nothing is read here but directories. A segment is fetched whole or not at all, so only
files are looked at that together save fetching some segment, and an index only where it costs less than it saves.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.archive.beneath import Directories
from storage.archive.layout import HOLE, KIB
from storage.archive.manifest import Tree, holders

Mask = NDArray[np.bool_]

#: A pack's index is read only when that may save this many bytes.
_WORTH = 64 * KIB


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A tree to take from: its open root, and which rows' names are files there that may have the content."""

    root: int
    ours: bool  # an earlier attempt built it: its files may be moved
    found: Mask
    room: int  # bytes on disk that moving saves


def look(tree: Tree, root: int, *, ours: bool) -> Source:
    """What an open tree may have, by names and sizes."""
    found, room = np.zeros(len(tree.names), bool), 0
    parents = tree.parent.tolist()
    directories = Directories(root, parents, tree.names)
    above, place = -1, -1
    rows = np.nonzero(holders(tree.mode, tree.twins) & (tree.size > 0))[0]
    try:
        for row, size, extents in zip(
            rows.tolist(), tree.size[rows].tolist(), tree.extents[rows].tolist(), strict=True
        ):
            if parents[row] != above:
                above = parents[row]
                try:
                    place = directories.handle(above)
                except OSError:
                    place = -1
            if place < 0:
                continue
            try:
                status = os.stat(tree.names[row], dir_fd=place, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and (status.st_size == size or (extents > 1 and status.st_size)):
                found[row] = True
                room += status.st_blocks * 512
    finally:
        directories.close()
    return Source(root, ours, found, room if ours else 0)


def worth_a_look(tree: Tree, sources: list[Source]) -> tuple[Mask, list[int]]:
    """Extents in segments that need not be fetched if all of these are found, and the packs of those segments."""
    found = np.zeros(len(tree.names), bool)
    for source in sources:
        found |= source.found
    real = tree.extent_segment != HOLE
    there = np.repeat(found, tree.extents)
    blocked = np.bincount(tree.extent_segment[real & ~there], minlength=len(tree.segments)) > 0
    saved = np.bincount(
        tree.segments["pack"][~blocked], weights=tree.segments["stored"][~blocked], minlength=len(tree.packs)
    )
    worth = ~blocked & (saved[tree.segments["pack"]] >= _WORTH)
    useful = real & there
    useful[useful] = worth[tree.extent_segment[useful]]
    return useful, np.unique(tree.segments["pack"][worth]).tolist()
