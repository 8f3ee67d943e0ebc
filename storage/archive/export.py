"""A snapshot as a plain `.tar.zst`, made while it is sent: for people and programs that know nothing of packs.

Apart from staging because nothing is written to disk: segments are read in the order of the files, the few that are
in use are kept, and the archive leaves in pieces. POSIX.1-2001 (pax) headers, so that GNU tar, bsdtar and Python's
tarfile restore names of any bytes, times to the nanosecond, hard links and extended attributes (as
`SCHILY.xattr.`). Holes become zeros, which compression removes again. The archive is plain also when the snapshot is
sealed, so it lives for a time only; the configuration is never part of it.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
from collections import OrderedDict
from collections.abc import Iterator

import numpy as np

from domain.contracts import Buffer, ObjectStore, Watch
from domain.errors import KeyUnavailable, Refused
from domain.restore import Exported
from storage.archive import attributes, layout, published
from storage.archive.compression import compress_stream
from storage.archive.layout import HOLE, MIB
from storage.archive.published import Opened
from storage.archive.segment import Opener
from storage.archive.tenant_keys import TenantKeys

#: Plain bytes of segments that are kept: neighbours in a directory mostly share one.
_KEPT_BYTES = 32 * MIB
#: Paths that are named for having lost an attribute.
MOST_NAMED = 100
_BLOCK = tarfile.BLOCKSIZE
_ZEROS = bytes(MIB)


def export(store: ObjectStore, keys: TenantKeys, manifest_key: str, to: str, watch: Watch) -> Exported:
    """See the port `Archive`."""
    opened = published.read_manifest(published.fetch_manifest(store, manifest_key), manifest_key, keys)
    header, tree = opened.header, opened.tree
    if not tree.names:
        raise Refused(f"snapshot {header.snapshot_id} holds no data to export", code="not-in-snapshot")
    watch.expect(header.logical_bytes, header.files)
    archive = _Archive(store, opened, watch)
    mark, total = hashlib.sha256(), 0

    def counted() -> Iterator[bytes]:
        nonlocal total
        for piece in compress_stream(archive.blocks()):
            mark.update(piece)
            total += len(piece)
            yield piece

    store.put_stream(to, counted())
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

    def __init__(self, store: ObjectStore, opened: Opened, watch: Watch) -> None:
        tree = opened.tree
        self._tree, self._watch = tree, watch
        self._segments = _Segments(store, opened)
        self.left_out: list[str] = []
        self._first = np.cumsum(tree.extents) - tree.extents
        self._paths = [b"."] * len(tree.names)
        #: Files of several names, and the path under which their content was sent.
        self._sent: dict[int, bytes] = dict.fromkeys(tree.twins.values(), b"")

    def blocks(self) -> Iterator[Buffer]:
        """Headers, contents and padding. Depth first: GNU tar gives a directory its time as soon as it is left."""
        for row in self._depth_first():
            self._watch.check()
            yield from self._entry(row)
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

    def _entry(self, row: int) -> Iterator[Buffer]:
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
            size = int(self._tree.size[holder])
            yield self._header(row, tarfile.REGTYPE, size)
            yield from self._content(holder)
            yield bytes(-size % _BLOCK)
            self._watch.advance(size, 1)

    def _header(self, row: int, kind: bytes, size: int, target: bytes = b"") -> bytes:
        tree, info = self._tree, tarfile.TarInfo(os.fsdecode(self._paths[row]))
        info.type, info.size, info.mode = kind, size, stat.S_IMODE(int(tree.mode[row]))
        info.uid, info.gid, info.linkname = int(tree.uid[row]), int(tree.gid[row]), os.fsdecode(target)
        seconds, nanoseconds = divmod(abs(int(tree.mtime[row])), 10**9)
        sign = "-" if tree.mtime[row] < 0 else ""
        # The text and not a float, which cannot hold nanoseconds.
        info.pax_headers = {"mtime": f"{sign}{seconds}.{nanoseconds:09d}"}
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

    def _content(self, row: int) -> Iterator[Buffer]:
        tree, first = self._tree, int(self._first[row])
        for at in range(first, first + int(tree.extents[row])):
            number, length = int(tree.extent_segment[at]), int(tree.extent_length[at])
            if number == HOLE:
                yield from _zeros(length)
            else:
                start = int(tree.extent_offset[at])
                yield memoryview(self._segments.plain(number))[start : start + length]


class _Segments:
    """Plain bytes of segments, the latest ones kept."""

    def __init__(self, store: ObjectStore, opened: Opened) -> None:
        self._store, self._tree, self._root = store, opened.tree, layout.pack_root(opened.header.tenant_id)
        self._kept: OrderedDict[int, Buffer] = OrderedDict()
        self._bytes = 0
        self._opener = Opener(opened.key)

    def plain(self, number: int) -> Buffer:
        """A segment's bytes, verified. Raises Damaged or ObjectMissing."""
        found = self._kept.get(number)
        if found is None:
            row = self._tree.segments[number]
            key = self._root + self._tree.packs[int(row["pack"])]
            stored = memoryview(self._store.get(key, int(row["offset"]), int(row["stored"])))
            found = self._opener.open(stored, row)
            self._kept[number] = found
            self._bytes += len(found)
            while self._bytes > _KEPT_BYTES and len(self._kept) > 1:
                self._bytes -= len(self._kept.popitem(last=False)[1])
        self._kept.move_to_end(number)
        return found


def _zeros(length: int) -> Iterator[bytes]:
    while length:
        piece = min(length, len(_ZEROS))
        yield _ZEROS[:piece]
        length -= piece
