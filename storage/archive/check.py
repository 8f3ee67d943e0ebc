"""Refusing manifests that no writer makes, before anything is allocated or written for them.

Apart from the form, because this is the gate between the store and a live file system: after it, every
name is one safe component, every parent a directory that comes earlier, every extent inside a segment,
every segment inside a pack of the same tenant. Whoever passes here needs no further check of structure.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.errors import Damaged
from storage.archive import attributes, columns
from storage.archive.layout import (
    DEPTH_LIMIT,
    ENTRIES_LIMIT,
    EXTENTS_LIMIT,
    FILE_LIMIT,
    HOLE,
    HOLE_LIMIT,
    LINK_LIMIT,
    NAME_LIMIT,
    PACK_LIMIT,
    PACK_MAGIC,
    check_pack_name,
)
from storage.archive.manifest import Ints, Tree, holders
from storage.archive.pack import FOOTER_BYTES, SEGMENT_ROW, possible
from storage.archive.segment import SEALED

_SIGNED = frozenset({"mtime", "ctime"})
NO_ID = 0xFFFF_FFFF
_KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)


def tree_from(block: bytes) -> Tree:
    """Parse a manifest's table. Raises Damaged with the first rule that it breaks."""
    table = columns.decode(block)
    try:
        return _tree(_Table(table))
    except (KeyError, IndexError, OverflowError) as error:
        raise Damaged(f"a manifest lacks or contradicts a column: {error}") from None


class _Table:
    """Columns by name, with the type that is expected."""

    def __init__(self, table: Mapping[str, columns.Column]) -> None:
        self._table = table

    def __contains__(self, name: str) -> bool:
        return name in self._table

    def ints(self, name: str, rows: int | None = None) -> Ints:
        """An integer column as int64 (uint64 for inodes), of `rows` rows."""
        column = self._table[name]
        if isinstance(column, bytes) or column.dtype.kind not in "iu" or rows not in (None, len(column)):
            raise Damaged(f"column {name} of a manifest has another type or length than it must")
        # Before it grows to eight bytes a row.
        _require(len(column) <= EXTENTS_LIMIT, f"has more rows in {name} than a snapshot may have")
        if name == "inode":
            return column.astype(np.uint64)
        found: Ints = column.astype(np.int64)
        if name not in _SIGNED and (found < 0).any():
            raise Damaged(f"column {name} of a manifest holds a number that is out of range")
        return found

    def blob(self, name: str) -> bytes:
        """A column of bytes."""
        column = self._table[name]
        if not isinstance(column, bytes):
            raise Damaged(f"column {name} of a manifest is not bytes")
        return column

    def lines(self, name: str, rows: int | None = None) -> list[bytes]:
        """A column of bytes with NUL between the values, of `rows` values."""
        column = self.blob(name)
        # Counted before they become objects.
        count = column.count(b"\0") + 1 if column or rows == 1 else 0
        _require(count <= ENTRIES_LIMIT, f"has more values in {name} than a snapshot may have")
        if rows not in (None, count):
            raise Damaged(f"column {name} of a manifest has {count} values, {rows} were expected")
        return column.split(b"\0") if count else []

    def records(self, name: str, rows: int) -> NDArray[np.void]:
        """A column of 16-byte records."""
        column = self._table[name]
        if isinstance(column, bytes) or column.dtype.kind != "V" or len(column) != rows:
            raise Damaged(f"column {name} of a manifest has another type or length than it must")
        found: NDArray[np.void] = column.view("V16")
        return found


def _tree(table: _Table) -> Tree:
    mode = table.ints("mode")
    rows = len(mode)
    _require(rows <= ENTRIES_LIMIT, "names more entries than a snapshot may have")
    twins = _sparse(table, "twin.row", table.ints("twin.of").tolist(), rows)
    held = holders(mode, twins)
    files = int(held.sum())

    def spread(name: str) -> Ints:
        column = table.ints(name, files)
        full = np.zeros(rows, column.dtype)
        full[held] = column
        return full

    values = _attribute_values(table)
    tree = Tree(
        names=table.lines("name", rows) if rows else [],
        parent=table.ints("parent", rows),
        mode=mode,
        uid=table.ints("uid", rows),
        gid=table.ints("gid", rows),
        mtime=table.ints("mtime", rows),
        size=spread("size"),
        ctime=spread("ctime"),
        inode=spread("inode"),
        extents=spread("extents"),
        extent_segment=table.ints("extent.segment"),
        extent_offset=table.ints("extent.offset"),
        extent_length=table.ints("extent.length"),
        segments=_segments(table),
        packs=[check_pack_name(name.decode("ascii", "replace")) for name in table.lines("pack.name")],
        pack_bytes=table.ints("pack.bytes"),
        links=_sparse(table, "link.row", table.lines("link.target"), rows),
        twins=twins,
        attributes=_sparse(table, "attribute.row", values, rows),
        skipped=table.lines("skipped"),
        unstable=table.lines("unstable"),
        sockets=table.lines("sockets") if "sockets" in table else [],
    )
    if rows:
        _check_names(tree)
    _check_kinds(tree, held)
    _check_segments(tree)
    _check_extents(tree)
    return tree


def _segments(table: _Table) -> NDArray[np.void]:
    rows = len(table.ints("segment.pack"))
    segments = np.zeros(rows, SEGMENT_ROW)
    for name in SEGMENT_ROW.names or ():
        column = f"segment.{name}"
        if name == "digest":
            segments[name] = table.records(column, rows)
            continue
        found = table.ints(column, rows)
        # A number that does not fit would become another one.
        _require(bool((found <= np.iinfo(SEGMENT_ROW[name]).max).all()), f"has a number that is too big in {column}")
        segments[name] = found
    return segments


def _sparse(table: _Table, column: str, values: list[Any], rows: int) -> dict[int, Any]:
    """Values that only some rows have, by row."""
    numbers = table.ints(column, len(values))
    _require(bool((np.diff(numbers) > 0).all()), f"repeats a row in {column}")
    _require(
        not len(numbers) or bool(numbers[0] >= 0 and numbers[-1] < rows), f"names a row in {column} that is not there"
    )
    return dict(zip(numbers.tolist(), values, strict=True))


def _attribute_values(table: _Table) -> list[bytes]:
    lengths, data = table.ints("attribute.bytes").tolist(), table.blob("attribute.value")
    _require(sum(lengths) == len(data), "counts the bytes of its extended attributes wrongly")
    values, position = [], 0
    for length in lengths:
        values.append(data[position : position + length])
        attributes.parse(values[-1])
        position += length
    return values


def _check_names(tree: Tree) -> None:
    parent, names = tree.parent, tree.names
    _require(names[0] == b"" and parent[0] == 0 and stat.S_ISDIR(int(tree.mode[0])), "does not begin with a directory")
    above, rows = parent[1:], np.arange(1, len(names))
    _require(bool((above < rows).all()), "has an entry before its directory, or a directory inside itself")
    _require(
        bool(((tree.mode[above] & 0o170000) == stat.S_IFDIR).all()),
        "has an entry beneath something that is no directory",
    )
    new_group = np.concatenate([[True], above[1:] != above[:-1]]) if len(above) else np.zeros(0, bool)
    _require(int(new_group.sum()) == len(np.unique(above)), "does not keep the entries of a directory together")
    previous = b""
    for name, first in zip(names[1:], new_group.tolist(), strict=True):
        # Ascending inside a directory: so no name comes twice.
        if (
            not name
            or len(name) > NAME_LIMIT
            or name in (b".", b"..")
            or b"/" in name
            or (name <= previous and not first)
        ):
            raise Damaged(f"a manifest has the name {name[:80]!r} where it must not be")
        previous = name
    _check_depth(tree)


def _check_depth(tree: Tree) -> None:
    depth: dict[int, int] = {0: 0}
    directories = np.nonzero((tree.mode & 0o170000) == stat.S_IFDIR)[0]
    for row, above in zip(directories[1:].tolist(), tree.parent[directories[1:]].tolist(), strict=True):
        depth[row] = depth[above] + 1
        _require(depth[row] <= DEPTH_LIMIT, f"is more than {DEPTH_LIMIT} directories deep")


def _check_kinds(tree: Tree, held: NDArray[np.bool_]) -> None:
    kind = tree.mode & 0o170000
    _require(bool(np.isin(kind, _KINDS).all()), "holds an entry that is no file, directory or symbolic link")
    _require(bool(((tree.mode >> 16) == 0).all()), "holds a mode that no file has")
    # The highest id means "leave it as it is" to the kernel.
    _require(bool(((tree.uid < NO_ID) & (tree.gid < NO_ID)).all()), "names an owner that nobody can be")
    _require(
        set(np.nonzero(kind == stat.S_IFLNK)[0].tolist()) == set(tree.links), "has a symbolic link without a target"
    )
    for target in tree.links.values():
        _require(0 < len(target) <= LINK_LIMIT, "has a symbolic link whose target has no possible length")
    for row, first in tree.twins.items():
        _require(stat.S_ISREG(int(tree.mode[row])), "has a hard link that is no file")
        _require(0 <= first < row and bool(held[first]), "has a hard link to something that is no earlier file")


def _check_segments(tree: Tree) -> None:
    rows, packs = tree.segments, tree.pack_bytes
    _require(len(tree.packs) == len(packs) == len(set(tree.packs)), "lists its packs wrongly")
    _require(bool((packs <= PACK_LIMIT).all()), "names a pack that is bigger than any writer makes")
    if not len(rows):
        return
    _require(bool((rows["pack"] < len(packs)).all()), "has a segment in no pack")
    _require(possible(rows), "has a segment of an impossible size, or a flag that this version does not know")
    start, end = rows["offset"].astype(np.int64), rows["offset"].astype(np.int64) + rows["stored"]
    room = packs[rows["pack"]] - FOOTER_BYTES
    _require(bool(((start >= len(PACK_MAGIC)) & (end <= room)).all()), "has a segment outside of its pack")
    next_pack = rows["pack"][1:] > rows["pack"][:-1]
    follows = (rows["pack"][1:] == rows["pack"][:-1]) & (start[1:] >= end[:-1])
    _require(bool((next_pack | follows).all()), "has segments that are out of order or overlap")


def check_flags(tree: Tree, *, sealed: bool) -> None:
    """All segments of a sealed snapshot are sealed, none of a plain one. Raises Damaged."""
    _require(
        bool((((tree.segments["flags"] & SEALED) != 0) == sealed).all()),
        "is sealed and names a plain segment, or the reverse",
    )


def _check_extents(tree: Tree) -> None:
    counts, length = tree.extents, tree.extent_length
    _require(len(length) <= EXTENTS_LIMIT, "has more extents than a snapshot may have")
    _require(bool((counts <= len(length)).all()), "counts its extents wrongly")
    _require(
        len(tree.extent_segment) == len(tree.extent_offset) == len(length) == counts.sum(), "counts its extents wrongly"
    )
    _require(bool(((tree.size >= 0) & (tree.size <= FILE_LIMIT)).all()), "has a file of an impossible size")
    hole = tree.extent_segment == HOLE
    _require(bool((length > 0).all() and (length[hole] <= HOLE_LIMIT).all()), "has an extent of an impossible length")
    real = tree.extent_segment[~hole]
    _require(bool((real < len(tree.segments)).all()), "has an extent in no segment")
    end = tree.extent_offset[~hole] + length[~hole]
    _require(bool((end <= tree.segments["plain"][real]).all()), "has an extent outside of its segment")
    total = np.concatenate([[0], np.cumsum(length)])
    last = np.cumsum(counts)
    _require(bool((total[last] - total[last - counts] == tree.size).all()), "has a file whose extents are not its size")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise Damaged(f"a manifest {what}")
