"""Archives of others, imported whole: tar in its dialects, compressed or not, and GNU tar's listings of directories.

Apart from the readers of our own objects because tarfile is in it, and what it believes. What is accepted is read
back and laid out, so that a snapshot which cannot be restored is a finding too.
"""

from __future__ import annotations

import gzip
import io
import json
import shutil
import tarfile
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import zstandard

from domain.contracts import Fill, SnapshotRequest
from domain.errors import Damaged, Refused
from storage.archive import importing, tar_reader
from storage.archive.entries import Entries
from storage.objects.memory import MemoryStore
from tests.fuzz.target import Target, spread
from tests.unit.storage_archive.workshop import QuietWatch, Workshop
from workers import rosti

#: Smaller than in earnest, so that what goes on without end is at its end soon.
_ALWAYS, _HEADERS = 8 << 20, 1 << 20


@cache
def _root() -> Path:
    return Path(tempfile.mkdtemp(prefix="backstay-fuzz-"))


@contextmanager
def _soon() -> Iterator[None]:
    """The limits of the reader, smaller."""
    before = tar_reader.ALWAYS, tar_reader.HEADER_LIMIT
    tar_reader.ALWAYS, tar_reader.HEADER_LIMIT = _ALWAYS, _HEADERS
    try:
        yield
    finally:
        tar_reader.ALWAYS, tar_reader.HEADER_LIMIT = before


class _Nowhere:
    """Where files' contents go when only the reading of archives is tried: a hundred times as many in a second."""

    def __init__(self) -> None:
        self.small_row, self.small_place, self.small_length = array("q"), array("q"), array("q")
        self.big: list[Any] = []
        self.blocks = self

    def small(self, _row: int, size: int, fill: Fill) -> int:
        return fill(memoryview(bytearray(size)))

    def by_content(self, fill: Fill, _pieces: list[Any], _size: int) -> int:
        """As much as there is, a mebibyte at a time."""
        done, view = 0, memoryview(bytearray(1 << 20))
        while done < _size and (found := fill(view[: _size - done])):
            done += found
        return done

    def finish(self) -> None: ...


def _read(*archives: bytes) -> None:
    """Read into a tree, and nothing more."""
    chain = [partial(io.BytesIO, data) for data in archives]
    feed = importing.feed(chain, 0, 1, QuietWatch())
    with suppress(Damaged, Refused), _soon():
        feed(Entries(), None, cast(Any, _Nowhere()))


def _imported(*archives: bytes) -> None:
    shop = Workshop(_root(), store=MemoryStore(), cache=False, threads=1)
    chain = [partial(io.BytesIO, data) for data in archives]
    request = SnapshotRequest("s1", "acme", "web", None, None)
    try:
        with _soon():
            summary = shop.archive.import_tar(request, chain, 0, shop.watch)
    except (Damaged, Refused):
        return
    if summary.logical_bytes < _ALWAYS:
        try:
            shop.stage(summary)
        finally:
            shutil.rmtree(_root() / "staging", ignore_errors=True)


def _plain(data: bytes) -> None:
    _read(data)


def _compressed(data: bytes) -> None:
    """A fuzzer does not find a check sum by itself."""
    _read(zstandard.compress(data))
    _read(gzip.compress(data, 1))


def _listing(data: bytes) -> None:
    """A listing of a directory, over an archive that has one."""
    member = tarfile.TarInfo(".")
    member.type, member.size = b"D", len(data)
    _read(_base(), member.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512) + bytes(1024))


def _pax(data: bytes) -> None:
    """Records of a member, as they come."""
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, len(data)
    _read(head.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512) + _base())


def _rosti(data: bytes) -> None:
    try:
        rosti._labels(json.loads(data), "web", "0" * 36, 1)
    except (ValueError, RecursionError):
        return


@cache
def _base() -> bytes:
    return _archive(tarfile.GNU_FORMAT)


def _archive(form: int) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as tar:
        for name, kind, more in (
            (".", tarfile.DIRTYPE, {}), ("a", tarfile.DIRTYPE, {}), ("a/f", tarfile.REGTYPE, {}),
            ("l", tarfile.SYMTYPE, {"linkname": "a/f"}), ("h", tarfile.LNKTYPE, {"linkname": "a/f"}),
            ("n" * 90, tarfile.REGTYPE, {}), ("q", tarfile.FIFOTYPE, {}),
        ):  # fmt: skip
            _add(tar, name, kind, more)
    return made.getvalue()


def _add(tar: tarfile.TarFile, name: str, kind: bytes, more: dict[str, Any]) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mtime = kind, 1_700_000_000
    for key, value in more.items():
        setattr(member, key, value)
    if kind == tarfile.REGTYPE:
        member.size = 5
    member.pax_headers = {"SCHILY.xattr.user.a": "1", "mtime": "1700000000.5"}
    tar.addfile(member, io.BytesIO(b"bytes") if kind == tarfile.REGTYPE else None)


def _seeds() -> list[bytes]:
    """An archive in each form, one compressed, listings, and records that tarfile knows."""
    document = {"uuid": "0" * 36, "app_name": "web", "ts": 1, "labels": ["owner:42", "size:1"]}
    return [
        *(b"\0" + _archive(form) for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT)),
        b"\1" + _archive(tarfile.PAX_FORMAT), b"\0" + zstandard.compress(_base()),
        b"\2Ra\0Tb\0\0", b"\2Yf\0Da\0Nx\0\0", b"\2Xa\0R\0Ta\0\0",
        b"\x0330 SCHILY.xattr.user.name=abc\n", b"\x0322 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n",
        b"\x0320 GNU.sparse.size=9\n26 GNU.sparse.numblocks=1\n26 GNU.sparse.map=0,5,7,2\n", b"\x0311 mtime=1\n",
        b"\5" + _archive(tarfile.PAX_FORMAT), b"\4" + json.dumps(document).encode(),
    ]  # fmt: skip


TARGET = Target("archives", spread(_plain, _compressed, _listing, _pax, _rosti, _imported), _seeds)
