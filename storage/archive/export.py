"""A snapshot as a plain `.tar.zst`, made while it is sent: for people and programs that know nothing of packs.

Apart from staging because nothing is written to disk: segments are read in the order of the files, some ahead of it
(see `ahead`), and the archive leaves in pieces. POSIX.1-2001 (pax) headers, so that GNU tar, bsdtar and Python's
tarfile restore names of any bytes, times to the nanosecond, hard links and extended attributes (as
`SCHILY.xattr.`). Files with holes are sparse in GNU's form 1.0 (GNU tar manual, "Storing Sparse Files"): a map of
what is data, then the data; those three make the holes again. The archive is plain also when the snapshot is
sealed, so it lives for a time only; the configuration is never part of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections.abc import Iterator

import numpy as np

from domain.contracts import Buffer, ObjectStore, Watch
from domain.errors import KeyUnavailable, Refused
from domain.restore import Exported
from storage.archive import attributes, published
from storage.archive.ahead import Segments
from storage.archive.compression import compress_stream
from storage.archive.layout import HOLE
from storage.archive.published import Opened
from storage.archive.tenant_keys import TenantKeys

#: Paths that are named for having lost an attribute.
MOST_NAMED = 100
_BLOCK = tarfile.BLOCKSIZE


def export(store: ObjectStore, keys: TenantKeys, manifest_key: str, to: str, watch: Watch) -> Exported:
    """See the port `Archive`."""
    opened = published.read_manifest(published.fetch_manifest(store, manifest_key), manifest_key, keys)
    header, tree = opened.header, opened.tree
    if not tree.names:
        raise Refused(f"snapshot {header.snapshot_id} holds no data to export", code="not-in-snapshot")
    watch.expect(header.logical_bytes, header.files)
    archive = _Archive(opened, watch)
    mark, total = hashlib.sha256(), 0

    def counted(segments: Segments) -> Iterator[bytes]:
        nonlocal total
        for piece in compress_stream(archive.blocks(segments)):
            mark.update(piece)
            total += len(piece)
            yield piece

    rewritten = published.unless_rewritten(store, keys, manifest_key, tree)
    with rewritten, Segments(store, opened, archive.wanted()) as segments:
        store.put_stream(to, counted(segments))
    if opened.key is not None:
        try:
            keys.load(header.tenant_id)
        except KeyUnavailable:
            # The tenant's key was destroyed meanwhile, and what is plain was to go with it.
            store.delete([to])
            raise
    return Exported(to, total, mark.hexdigest(), header.files, tuple(archive.left_out))


class _Archive:
    """The tar stream of one tree."""

    def __init__(self, opened: Opened, watch: Watch) -> None:
        tree = opened.tree
        self._tree, self._watch = tree, watch
        self.left_out: list[str] = []
        self._first = np.cumsum(tree.extents) - tree.extents
        self._paths = [b"."] * len(tree.names)
        #: Files of several names, and the path under which their content was sent.
        self._sent: dict[int, bytes] = dict.fromkeys(tree.twins.values(), b"")
        #: Depth first: GNU tar gives a directory its time as soon as it is left.
        self._order = list(self._depth_first())

    def wanted(self) -> Iterator[int]:
        """Numbers of the segments in the order in which `blocks` needs them."""
        tree, seen = self._tree, set[int]()
        for row in self._order:
            holder = tree.twins.get(row, row)
            if tree.extents[holder] and holder not in seen:
                if holder in self._sent:
                    seen.add(holder)
                yield from (number for number, _, _ in self._extents(holder) if number != HOLE)

    def blocks(self, segments: Segments) -> Iterator[Buffer]:
        """Headers, contents and padding."""
        for row in self._order:
            self._watch.check()
            yield from self._entry(row, segments)
        yield bytes(2 * _BLOCK)

    def _depth_first(self) -> Iterator[int]:
        children: dict[int, list[int]] = {}
        for row, parent in enumerate(self._tree.parent.tolist()):
            if row:
                children.setdefault(parent, []).append(row)
        waiting = [0]
        while waiting:
            row = waiting.pop()
            if row:
                self._paths[row] = self._paths[int(self._tree.parent[row])] + b"/" + self._tree.names[row]
            yield row
            waiting += reversed(children.get(row, ()))

    def _entry(self, row: int, segments: Segments) -> Iterator[Buffer]:
        mode = int(self._tree.mode[row])
        holder = self._tree.twins.get(row, row)
        if stat.S_ISDIR(mode):
            yield self._header(row, tarfile.DIRTYPE, 0)
        elif stat.S_ISLNK(mode):
            yield self._header(row, tarfile.SYMTYPE, 0, self._tree.links[row])
        elif first := self._sent.get(holder):
            yield self._header(row, tarfile.LNKTYPE, 0, first)
        else:  # whichever name comes first holds the content
            if holder in self._sent:
                self._sent[holder] = self._paths[row]
            yield from self._file(row, holder, segments)
            self._watch.advance(int(self._tree.size[holder]), 1)

    def _file(self, row: int, holder: int, segments: Segments) -> Iterator[Buffer]:
        size, extents = int(self._tree.size[holder]), self._extents(holder)
        if any(number == HOLE for number, _, _ in extents):
            sparse = {
                "GNU.sparse.major": "1",
                "GNU.sparse.minor": "0",
                "GNU.sparse.name": os.fsdecode(self._paths[row]),
                "GNU.sparse.realsize": str(size),
            }
            places = _map(extents, size)
            size = len(places) + sum(length for number, _, length in extents if number != HOLE)
            yield self._header(row, tarfile.REGTYPE, size, more=sparse)
            yield places
        else:
            yield self._header(row, tarfile.REGTYPE, size)
        for number, start, length in extents:
            if number != HOLE:
                yield memoryview(segments.plain(number))[start : start + length]
        yield bytes(-size % _BLOCK)

    def _extents(self, row: int) -> list[tuple[int, int, int]]:
        """Segment, offset in it and length of each run of the file's bytes, in order."""
        tree, first = self._tree, int(self._first[row])
        at = slice(first, first + int(tree.extents[row]))
        columns = (tree.extent_segment, tree.extent_offset, tree.extent_length)
        return list(zip(*(column[at].tolist() for column in columns), strict=True))

    def _header(
        self, row: int, kind: bytes, size: int, target: bytes = b"", more: dict[str, str] | None = None
    ) -> bytes:
        tree, path = self._tree, os.fsdecode(self._paths[row])
        if more:  # who does not know sparse files writes map and data where nobody takes them for the file
            above, _, base = path.rpartition("/")
            path = f"{above}/GNUSparseFile.0/{base}"
        info = tarfile.TarInfo(path)
        info.type, info.size, info.mode = kind, size, stat.S_IMODE(int(tree.mode[row]))
        info.uid, info.gid, info.linkname = int(tree.uid[row]), int(tree.gid[row]), os.fsdecode(target)
        seconds, nanoseconds = divmod(abs(int(tree.mtime[row])), 10**9)
        sign = "-" if tree.mtime[row] < 0 else ""
        # The text and not a float, which cannot hold nanoseconds.
        info.pax_headers = {"mtime": f"{sign}{seconds}.{nanoseconds:09d}", **(more or {})}
        for name, value in attributes.parse(tree.attributes.get(row, b"")):
            label = name.decode("utf-8", "surrogateescape")
            if b"=" in name or not label.isprintable():
                self._leave_out(row)
                continue
            info.pax_headers[f"SCHILY.xattr.{label}"] = value.decode("utf-8", "surrogateescape")
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")

    def _leave_out(self, row: int) -> None:
        if len(self.left_out) < MOST_NAMED:
            self.left_out.append(published.path_of(self._tree, row))


def _map(extents: list[tuple[int, int, int]], size: int) -> bytes:
    """Where a sparse file has data: how many runs, then offset and length of each, in lines of decimals, padded to
    whole blocks. An empty run at the end states the size when the file ends in a hole."""
    runs: list[list[int]] = []
    at = 0
    for number, _, length in extents:
        if number != HOLE:
            if runs and sum(runs[-1]) == at:
                runs[-1][1] += length
            else:
                runs.append([at, length])
        at += length
    if not runs or sum(runs[-1]) < size:
        runs.append([size, 0])
    text = "".join(f"{figure}\n" for figure in [len(runs), *(figure for run in runs for figure in run)])
    return text.encode("ascii").ljust(-(-len(text) // _BLOCK) * _BLOCK, b"\0")
