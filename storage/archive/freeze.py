"""From a tree that was read to the tables of its manifest.

Apart from both, because here the numbers that threads gave out become final: segments of the parent and
of this snapshot are joined, those that nothing uses are left out, and every file's bytes are counted
once more against its size.
"""

from __future__ import annotations

import dataclasses
from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.archive.entries import Entries
from storage.archive.feeder import Feeder
from storage.archive.former import NO_SEGMENTS, Former
from storage.archive.jobs import Piece
from storage.archive.known import NEW, place
from storage.archive.layout import HOLE
from storage.archive.manifest import Ints, Tree
from storage.archive.pack import SEGMENT_ROW
from storage.archive.shipper import Shipper

_OFFSET_MASK = place(1, 0) - 1
_OFFSET_BITS = place(1, 0).bit_length() - 1


#: Files taken over from the parent: rows here, rows there.
Unchanged = tuple["array[int]", "array[int]"]


@dataclass(slots=True)
class _Extents:
    """Extents of all files, in the order of their rows."""

    counts: Ints  # per row
    segment: Ints
    offset: Ints
    length: Ints


def freeze(entries: Entries, unchanged: Unchanged, feeder: Feeder, former: Former | None, shipper: Shipper) -> Tree:
    """The tables. Raises RuntimeError if the bytes of any file do not add up: that is a bug, never data."""
    found = _extents(len(entries), unchanged, feeder, former)
    segments, packs, sizes = _places(found, former, shipper)
    if former is not None:
        for row, there in zip(*unchanged, strict=True):
            if kept := former.tree.attributes.get(there):
                entries.attributes[row] = kept
    tree = Tree(
        names=entries.name,
        parent=_ints(entries.parent),
        mode=_ints(entries.mode),
        uid=_ints(entries.uid),
        gid=_ints(entries.gid),
        mtime=_ints(entries.mtime),
        size=_ints(entries.size),
        ctime=_ints(entries.ctime),
        inode=_ints(entries.inode),
        extents=found.counts,
        extent_segment=found.segment,
        extent_offset=found.offset,
        extent_length=found.length,
        segments=segments,
        packs=packs,
        pack_bytes=sizes,
        links=dict(sorted(entries.link.items())),
        twins=dict(sorted(entries.twin.items())),
        attributes=dict(sorted(entries.attributes.items())),
        skipped=sorted(set(entries.skipped)),
        unstable=sorted(set(entries.unstable)),
        sockets=sorted(entries.sockets),
    )
    total = np.concatenate([[0], np.cumsum(found.length)])
    last = np.cumsum(found.counts)
    wrong = np.nonzero(total[last] - total[last - found.counts] != tree.size)[0]
    if len(wrong):
        raise RuntimeError(f"{len(wrong)} files have other bytes stored than were read, the first is row {wrong[0]}")
    return _without(tree, feeder.gone) if feeder.gone else tree


def empty_tree() -> Tree:
    """The tables of a snapshot without data."""
    none = np.zeros(0, np.int64)
    return Tree(
        [], none, none, none, none, none, none, none, none, none, none, none, none, NO_SEGMENTS, [], none, {}, {}, {}
    )


def _ints(column: array[int]) -> Ints:
    return np.frombuffer(column, dtype=column.typecode).copy() if column else np.zeros(0, column.typecode)


def _extents(rows: int, unchanged_rows: Unchanged, feeder: Feeder, former: Former | None) -> _Extents:
    counts = np.zeros(rows, np.int64)
    small = _ints(feeder.small_row)
    counts[small] = 1
    big = [(row, _flat(pieces)) for row, pieces in feeder.big]
    for row, extents in big:
        counts[row] = len(extents)
    unchanged, there = map(_ints, unchanged_rows)
    if former is not None:
        counts[unchanged] = former.tree.extents[there]
    first = np.cumsum(counts) - counts
    total = int(counts.sum())
    made = _Extents(counts, *(np.zeros(total, np.int64) for _ in range(3)))
    places = _ints(feeder.small_place)
    made.segment[first[small]] = places >> _OFFSET_BITS
    made.offset[first[small]] = places & _OFFSET_MASK
    made.length[first[small]] = _ints(feeder.small_length)
    for row, extents in big:
        at = slice(first[row], first[row] + len(extents))
        made.segment[at], made.offset[at], made.length[at] = extents[:, 0], extents[:, 1], extents[:, 2]
    if former is not None and len(unchanged):
        _take_over(made, first, unchanged, there, former.tree)
    return made


def _flat(pieces: list[Piece]) -> NDArray[np.int64]:
    return np.array([extent for piece in pieces for extent in piece.extents], np.int64).reshape(-1, 3)


def _take_over(made: _Extents, first: Ints, rows: Ints, there: Ints, tree: Tree) -> None:
    """Copy the extents of unchanged files, all at once."""
    counts = made.counts[rows]
    source = (np.cumsum(tree.extents) - tree.extents)[there]
    step = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    to, of = np.repeat(first[rows], counts) + step, np.repeat(source, counts) + step
    made.segment[to] = tree.extent_segment[of]
    made.offset[to] = tree.extent_offset[of]
    made.length[to] = tree.extent_length[of]


def _places(found: _Extents, former: Former | None, shipper: Shipper) -> tuple[NDArray[np.void], list[str], Ints]:
    """Segments and packs that are used, in order; renumbers `found.segment` to match."""
    old = former.segments if former is not None else NO_SEGMENTS
    packs = list(former.tree.packs) if former is not None else []
    sizes = former.tree.pack_bytes.tolist() if former is not None else []
    new = np.zeros(max(shipper.rows, default=-1) + 1 - NEW if shipper.rows else 0, SEGMENT_ROW)
    for slot, (pack, *rest) in shipper.rows.items():
        new[slot - NEW] = (len(packs) + pack, *rest)
    table = np.concatenate([old, new])
    packs += [pack.name for pack in shipper.packs]
    sizes += [pack.size for pack in shipper.packs]
    real = found.segment != HOLE
    number = found.segment[real]
    number = np.where(number >= NEW, number - NEW + len(old), number)
    used, number = np.unique(number, return_inverse=True)
    rows = table[used]
    if len(rows) and not rows["plain"].all():
        raise RuntimeError("a chunk was promised a place in a segment that was never stored")
    order = np.lexsort((rows["offset"], rows["pack"]))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    found.segment[real] = rank[number]
    rows = rows[order]
    kept, rows["pack"] = np.unique(rows["pack"], return_inverse=True)
    return rows, [packs[i] for i in kept.tolist()], np.array([sizes[i] for i in kept.tolist()], np.int64)


def _without(tree: Tree, gone: set[int]) -> Tree:
    """Leave out files that vanished after they were listed, and further names of those."""
    gone = gone | {row for row, first in tree.twins.items() if first in gone}
    keep = np.ones(len(tree.names), bool)
    keep[list(gone)] = False
    number = np.cumsum(keep) - 1
    columns = ("mode", "uid", "gid", "mtime", "size", "ctime", "inode", "extents")
    return dataclasses.replace(
        tree,
        names=[name for row, name in enumerate(tree.names) if row not in gone],
        parent=number[tree.parent[keep]],
        links={int(number[row]): target for row, target in tree.links.items()},
        twins={int(number[row]): int(number[first]) for row, first in tree.twins.items() if row not in gone},
        attributes={int(number[row]): value for row, value in tree.attributes.items() if row not in gone},
        **{name: getattr(tree, name)[keep] for name in columns},
    )
