"""Feeding a snapshot from tar archives instead of a directory: one, or a chain of GNU tar's incremental ones.

Members are read once, in the order of the archives, straight into chunks; nothing is unpacked to disk. What a later
archive replaces or removes has been read for nothing and is not part of the snapshot.
"""

from __future__ import annotations

import stat
import tarfile
from array import array
from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from typing import IO, BinaryIO, cast

from domain.contracts import Fill, Watch
from domain.errors import Damaged
from storage.archive import attributes
from storage.archive.check import NO_ID
from storage.archive.entries import Entries
from storage.archive.feeder import Feeder
from storage.archive.former import Former
from storage.archive.freeze import Unchanged
from storage.archive.jobs import Piece
from storage.archive.layout import FILE_LIMIT, HOLE_LIMIT, MIB, WHOLE_FILE
from storage.archive.live import Feed
from storage.archive.tar_reader import content, members
from storage.archive.tar_tree import Node, TarTree, check_link, hostile

_XATTR = "SCHILY.xattr."
#: Parts of sparse files in one archive: more would fill memory, or a manifest, with nothing.
MOST_RUNS = 1_000_000
#: Bytes of one directory's listing that is a member of its own: some million names.
LISTING_LIMIT = 64 * MIB
#: Seconds: what fits into 63 bits of nanoseconds.
_LATEST = 9_223_372_036
_DUMPDIR, _VOLUME, _CONTINUED = b"D", b"V", b"M"


def feed(chain: Sequence[Callable[[], BinaryIO]], strip: int, taken_at: int, watch: Watch) -> Feed:
    """What reads the archives, the oldest first. Raises Refused(code="hostile-archive"), Damaged."""

    def read(entries: Entries, former: Former | None, feeder: Feeder) -> Unchanged:
        work = _Import(TarTree(strip, taken_at * 1_000_000), feeder, watch)
        for opened in chain:
            with opened() as file:
                work.take(file)
        feeder.finish()
        rows = work.tree.emit(entries)
        entries.skipped += work.tree.skipped
        _renumber(feeder, rows)
        return array("q"), array("q")

    return read


def _renumber(feeder: Feeder, rows: dict[int, int]) -> None:
    """Contents were numbered as they came; from here on they are rows of the table, or gone."""
    kept = [at for at, number in enumerate(feeder.small_row) if number in rows]
    feeder.small_place = array("q", [feeder.small_place[at] for at in kept])
    feeder.small_length = array("q", [feeder.small_length[at] for at in kept])
    feeder.small_row = array("q", [rows[feeder.small_row[at]] for at in kept])
    feeder.big = [(rows[number], pieces) for number, pieces in feeder.big if number in rows]


class _Import:
    """One chain on its way into chunks."""

    def __init__(self, tree: TarTree, feeder: Feeder, watch: Watch) -> None:
        self.tree, self._feeder, self._watch = tree, feeder, watch
        self._contents, self._extents = 0, 0

    def take(self, file: BinaryIO) -> None:
        """All members of one archive."""
        with members(file, self._watch.check) as (tar, found):
            for member in found:
                self._watch.check()
                self._member(tar, member)

    def _member(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        if member.type == _VOLUME:
            return  # a label
        if member.type == _CONTINUED:
            raise hostile("is a part of one in several volumes")
        directory = member.isdir() or member.type == _DUMPDIR
        parts = self.tree.parts(_bytes(member.name), directory=directory)
        if parts is None:
            return
        if directory:
            self.tree.put(parts, _node(member, stat.S_IFDIR))
            if listing := _listing(tar, member):
                self.tree.listed(parts, listing)
        elif member.issym():
            self.tree.put(parts, _node(member, stat.S_IFLNK, link=check_link(_bytes(member.linkname))))
        elif member.islnk():
            self._name(parts, member)
        elif member.isreg():
            self.tree.put(parts, self._file(tar, member))
        else:
            self.tree.skip(parts)

    def _name(self, parts: list[bytes], member: tarfile.TarInfo) -> None:
        """A further name of a file, or of a symbolic link, which tar has hard links to as well."""
        target = self.tree.parts(_bytes(member.linkname))
        node = self.tree.find(target) if target else None
        if node is not None and not node.is_directory:
            self.tree.put(parts, node)
        elif not target or b"/".join(target) in self.tree.skipped:
            self.tree.skip(parts)
        else:
            raise hostile(f"has a hard link to {member.linkname[:80]!r}, which is no file in it")

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> Node:
        node = _node(member, stat.S_IFREG)
        if not 0 <= member.size <= FILE_LIMIT:
            raise hostile(f"has a file of {member.size} bytes")
        runs = _runs(member)
        self._extents += member.size // HOLE_LIMIT + len(runs or ())
        if self._extents > MOST_RUNS:
            raise hostile(f"has sparse files of more than {MOST_RUNS} parts")
        node.size, node.content = member.size, self._contents
        self._contents += 1
        source = content(tar, member)
        if runs is None and member.size < WHOLE_FILE:
            self._whole(self._feeder.small(node.content, member.size, _filling(source)), member.size)
        else:
            self._big(node, source, runs if runs is not None else [(0, member.size)])
        return node

    def _big(self, node: Node, source: IO[bytes], runs: list[tuple[int, int]]) -> None:
        pieces: list[Piece] = []
        done = 0
        for start, end in runs:
            if start > done:
                pieces.append(Piece.hole(start - done))
            if end > start:
                source.seek(start)
                self._whole(self._feeder.blocks.by_content(_filling(source), pieces, end - start), end - start)
            done = end
        self._feeder.big.append((node.content, pieces))
        self._watch.advance(node.size, 1)

    @staticmethod
    def _whole(found: int, wanted: int) -> None:
        if found != wanted:
            raise Damaged("the archive ends in the middle of a file", code="archive-damaged")


def _node(member: tarfile.TarInfo, kind: int, link: bytes = b"") -> Node:
    if not (0 <= member.uid < NO_ID and 0 <= member.gid < NO_ID):
        raise hostile("names an owner that nobody can be")
    mode = kind | (0o777 if kind == stat.S_IFLNK else member.mode & 0o7777)
    return Node(mode, member.uid, member.gid, _nanoseconds(member), link=link, attributes=_attributes(member))


def _nanoseconds(member: tarfile.TarInfo) -> int:
    """From the text of the pax header, if there is one: a float does not hold nanoseconds."""
    try:
        seconds = Decimal(member.pax_headers.get("mtime", str(member.mtime)))
        possible = abs(seconds) < _LATEST  # before it is multiplied: the exponent may have six digits
    except InvalidOperation:
        raise hostile("has a time that is none") from None
    if not possible:
        raise hostile("has a time beyond all times")
    return int(seconds * 1_000_000_000)


def _attributes(member: tarfile.TarInfo) -> bytes:
    found = {
        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in member.pax_headers.items()
        if key.startswith(_XATTR) and attributes.is_kept(key.removeprefix(_XATTR))
    }
    if any(
        len(_bytes(name)) > 255 or "\0" in name or len(value) > attributes.VALUE_LIMIT for name, value in found.items()
    ):
        raise hostile("has an extended attribute of an impossible size")
    return attributes.encode(found.items())


def _listing(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """What an incremental archive says of the names in a directory; empty in any other archive."""
    if member.type == _DUMPDIR:
        if member.size > LISTING_LIMIT:
            raise hostile(f"has a listing of {member.size} bytes of one directory")
        return content(tar, member).read(member.size)
    return _bytes(member.pax_headers.get("GNU.dumpdir", ""))


def _runs(member: tarfile.TarInfo) -> list[tuple[int, int]] | None:
    """Where a sparse file has bytes, with an empty run at its end; None for one that is not sparse."""
    if member.sparse is None:
        return None
    runs, done = list[tuple[int, int]](), 0
    for start, length in cast("list[tuple[int, int]]", member.sparse):
        if length == 0:
            continue  # headers have room for more parts than a file has
        if start < done or length < 0 or start + length > member.size:
            raise hostile("has a sparse file whose parts overlap or lie outside of it")
        done = start + length
        runs.append((start, done))
    if not runs or runs[-1][1] < member.size:
        runs.append((member.size, member.size))
    return runs


def _filling(source: IO[bytes]) -> Fill:
    """Fills a buffer as far as the file goes."""

    def fill(view: memoryview) -> int:
        done = 0
        while done < len(view):
            data = source.read(len(view) - done)
            if not data:
                break
            view[done : done + len(data)] = data
            done += len(data)
        return done

    return fill


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
