"""A part of a snapshot's tree: chosen paths, or all but what patterns leave out.

Apart from staging, which builds whatever tree it is given: here rows are dropped and the tables made consistent
again. What is not wanted is not fetched either.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from domain.errors import Refused
from domain.restore import Selection
from storage.archive import attributes, published
from storage.archive.beneath import READ_DIRECTORY
from storage.archive.exclusion import Exclusion
from storage.archive.layout import HOLE
from storage.archive.manifest import Ints, Tree

Rows = NDArray[np.bool_]


def select(tree: Tree, selection: Selection, target: str) -> Tree:
    """The rows that are wanted, and the directories that lead to them, which look as `target`'s own do where it has
    them. Raises Refused(code="path-not-in-snapshot") for a path that is not there."""
    wanted, above = _wanted(tree, selection)
    chosen = _kept(tree, wanted | above)
    return _with_live_directories(chosen, above[wanted | above], target) if selection.paths else chosen


def without_sources(tree: Tree) -> Tree:
    """The directory alone."""
    rows, place = published.source_rows(tree), published.place_of(tree)
    keep = np.ones(len(tree.names), bool)
    keep[[*rows, *([] if place is None else [place])]] = False
    return _kept(tree, keep)


def only_sources(tree: Tree, names: Sequence[str]) -> Tree:
    """These sources as files of their names, beneath the directory that is kept for them."""
    keep = np.zeros(len(tree.names), bool)
    keep[0] = True
    for row in published.source_rows(tree):
        if tree.names[row].decode("ascii") in names:
            keep[[row, int(tree.parent[row])]] = True
    return _kept(tree, keep)


def _wanted(tree: Tree, selection: Selection) -> tuple[Rows, Rows]:
    """Rows that were asked for, and directories that are only on the way to them."""
    paths = {path.strip("/").encode("utf-8", "surrogateescape") for path in selection.paths}
    exclusion = Exclusion(selection.leave_out)
    parents, rows = tree.parent.tolist(), len(tree.names)
    wanted, out = np.zeros(rows, bool), np.zeros(rows, bool)
    wanted[0] = not paths
    names, found = [b""] * rows, set[bytes]()
    for row in range(1, rows):
        above = parents[row]
        name = names[row] = names[above] + b"/" + tree.names[row] if above else tree.names[row]
        is_directory = stat.S_ISDIR(int(tree.mode[row]))
        out[row] = out[above] or (exclusion.active and exclusion.leaves_out(name, is_directory))
        wanted[row] = not out[row] and (wanted[above] or name in paths)
        if name in paths:
            found.add(name)
    if missing := sorted(paths - found):
        raise Refused(
            f"the snapshot has no {missing[0].decode('utf-8', 'backslashreplace')!r}",
            code="path-not-in-snapshot",
            next_step="paths are relative to the service's directory; `backstay snapshots diff` lists them",
        )
    on_the_way = np.zeros(rows, bool)
    for row in np.nonzero(wanted)[0].tolist():
        while row and not on_the_way[parents[row]]:
            row = parents[row]
            on_the_way[row] = True
    on_the_way[0] = True
    return wanted, on_the_way & ~wanted


def _kept(tree: Tree, keep: Rows) -> Tree:
    """The tree without the other rows; segments that nothing needs any more fall away."""
    number = np.cumsum(keep) - 1
    rows = np.nonzero(keep)[0]
    source, twins = _holders(tree, keep)
    held = source[rows]
    counts = tree.extents[held]
    starts = (np.cumsum(tree.extents) - tree.extents)[held]
    at = np.repeat(starts - (np.cumsum(counts) - counts), counts) + np.arange(int(counts.sum()))
    segment = tree.extent_segment[at].astype(np.int64)
    used = np.unique(segment[segment != HOLE])
    place = np.zeros(len(tree.segments) + 1, np.int64)
    place[used] = np.arange(len(used))
    return dataclasses.replace(
        tree,
        names=[tree.names[row] for row in rows.tolist()],
        parent=number[tree.parent[rows]],
        **{name: getattr(tree, name)[rows] for name in ("mode", "uid", "gid", "mtime")},
        **{name: getattr(tree, name)[held] for name in ("size", "ctime", "inode")},
        extents=counts,
        extent_segment=np.where(segment == HOLE, HOLE, place[np.minimum(segment, len(tree.segments))]),
        extent_offset=tree.extent_offset[at],
        extent_length=tree.extent_length[at],
        segments=tree.segments[used],
        links={int(number[row]): link for row, link in tree.links.items() if keep[row]},
        twins={int(number[row]): int(number[first]) for row, first in twins.items()},
        attributes={int(number[row]): value for row, value in tree.attributes.items() if keep[row]},
    )


def _holders(tree: Tree, keep: Rows) -> tuple[Ints, dict[int, int]]:
    """For each row the one that its content is taken from, and the further names that are left: when the name that
    held the content is not wanted, the first that is holds it."""
    source, twins, instead = np.arange(len(tree.names)), {}, dict[int, int]()
    for row, first in sorted(tree.twins.items()):
        if not keep[row]:
            continue
        holder = first if keep[first] else instead.setdefault(first, row)
        if holder == row:
            source[row] = first
        else:
            twins[row] = holder
    return source, twins


def _with_live_directories(tree: Tree, on_the_way: Rows, target: str) -> Tree:
    columns = {name: getattr(tree, name).copy() for name in ("mode", "uid", "gid", "mtime")}
    kept = dict(tree.attributes)
    paths = [os.fsencode(target)] * len(tree.names)
    live = [False] * len(tree.names)  # a real directory, and all above it too: nothing is looked at through a link
    for row, above in enumerate(tree.parent.tolist()):
        paths[row] = os.path.join(paths[above], tree.names[row]) if row else paths[0]
        if not on_the_way[row] or (row and not live[above]):
            continue
        try:
            handle = os.open(paths[row], READ_DIRECTORY)
        except OSError:
            continue  # the target has none: the snapshot's it is
        live[row] = True
        try:
            status, own = os.fstat(handle), attributes.read(handle)
        finally:
            os.close(handle)
        columns["mode"][row], columns["mtime"][row] = status.st_mode, status.st_mtime_ns
        columns["uid"][row], columns["gid"][row] = status.st_uid, status.st_gid
        kept.pop(row, None)
        if own:
            kept[row] = own
    return dataclasses.replace(tree, **columns, attributes=kept)
