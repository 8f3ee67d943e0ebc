"""Reading a tar archive that somebody else has made, as a stream and with limits.

Apart from what its members become. Python's tarfile knows the formats (ustar, GNU, POSIX pax, sparse files); what it
takes on trust is checked here: how much an archive unpacks to, and how big the headers are that it reads at once.
Compression is recognised by the first bytes: none, zstd, gzip.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast

from domain.errors import Damaged, Refused
from storage.archive.compression import decompressing
from storage.archive.layout import GIB, MIB

#: An archive may unpack to this many times its size, or to the smaller of these; real trees, at most 50.
RATIO, ALWAYS = 1000, GIB
#: A header in a member of its own (a long name, pax records); GNU tar's listings of directories are the biggest.
HEADER_LIMIT = 64 * MIB
_HEADERS = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, b"L", b"K"})
_GNU_MAGIC = b"ustar  \0"
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


class _Member(tarfile.TarInfo):
    """A member whose header is only read when it is of a possible size."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: Any, errors: Any) -> _Member:
        """GNU tar's incremental archives have times where POSIX has the beginning of a long name."""
        made = super().frombuf(buf, encoding, errors)
        if bytes(buf[257:265]) == _GNU_MAGIC and made.type != tarfile.GNUTYPE_SPARSE:
            made.name = bytes(buf[:100]).partition(b"\0")[0].decode(encoding, errors)
        return made

    def _proc_member(self, tar: Any) -> Any:
        if self.type in _HEADERS and self.size > HEADER_LIMIT:
            raise Refused(f"a header of the archive has {self.size} bytes", code="hostile-archive")
        if self.size < 0:
            raise Refused("a member of the archive has less than no bytes", code="hostile-archive")
        return super()._proc_member(tar)  # type: ignore[misc]


class _Counted(io.RawIOBase):
    """Bytes that went through; `limit()` is how many may."""

    def __init__(self, file: BinaryIO, limit: Callable[[], int] | None = None) -> None:
        super().__init__()
        self._file, self._limit = file, limit
        self.total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self.total += len(data)
        if self._limit is not None and self.total > self._limit():
            raise Refused(
                f"the archive unpacks to more than {self.total} bytes, {RATIO} times its own size",
                code="hostile-archive",
                next_step="if that is meant, unpack it and import it without compression",
            )
        return len(data)


@contextmanager
def members(file: BinaryIO) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """The open archive and its members in order, each to be read before the next. Damaged, also while they are read,
    when it is no archive or ends too early."""
    stored = _Counted(file)
    start = io.BufferedReader(stored, MIB)
    magic = start.peek(4)[:4]
    plain: BinaryIO = start
    if magic.startswith(_ZSTD):
        plain = decompressing(start)
    elif magic.startswith(_GZIP):
        plain = gzip.GzipFile(fileobj=start)  # type: ignore[assignment]
    counted = io.BufferedReader(_Counted(plain, lambda: max(ALWAYS, RATIO * stored.total)), MIB)
    try:
        with tarfile.open(fileobj=counted, mode="r|", tarinfo=_Member, errors="surrogateescape") as tar:
            yield tar, _one_by_one(tar)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(error) from None


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The bytes of a file; of a sparse one with its holes. It can be moved forward without reading."""
    found = tar.extractfile(member)
    assert found is not None, "it is a file"
    return cast("IO[bytes]", cast(Any, found).raw)  # the buffer around it asks for more than a stream can do


def _one_by_one(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Members, none of which is remembered: a million of them must fit into memory."""
    while True:
        try:
            member = tar.next()
        except (ValueError, OverflowError, LookupError, RecursionError) as error:  # what tarfile lets through
            raise _damaged(error) from None
        if member is None:
            return
        yield member
        tar.members = []  # type: ignore[attr-defined]


def _damaged(error: Exception) -> Damaged:
    return Damaged(f"the archive cannot be read: {error}", code="archive-damaged", next_step="try it with `tar -t`")
