"""Reading a tar archive that somebody else has made, as a stream and with limits.

Apart from what its members become. Python's tarfile knows the formats (ustar, GNU, POSIX pax, sparse files); what it
takes on trust is checked here: how much an archive unpacks to, and how much it reads at once for the headers of one
member. Where tarfile takes a header that is damaged, or missing, for the end of the archive, this calls the archive
damaged: the end is a block of zeros and nothing else. Compression is recognised by the first bytes: none, zstd, gzip.
"""

from __future__ import annotations

import gzip
import io
import re
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
#: What comes before the content of one member: long names, pax records, maps of sparse files. The biggest are GNU tar's
#: listings of directories. What tarfile makes of it takes up to thirty times as much memory.
HEADER_LIMIT = 16 * MIB
#: Pax records are searched by tarfile in a time that grows with the square of this; no component of a name is longer.
_MANY_DIGITS = re.compile(rb"\d{300}")
_HEADERS = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, b"L", b"K"})
_END = bytes(tarfile.BLOCKSIZE)
_GNU_MAGIC = b"ustar  \0"
_ZSTD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


class _Member(tarfile.TarInfo):
    """A member whose header is only read when it is of a possible size."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: Any, errors: Any) -> _Member:
        """GNU tar's incremental archives have times where POSIX has the beginning of a long name."""
        try:
            made = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf == _END:
                raise
            # tarfile would call this the end: everything after it would be missing, and nobody would know.
            raise _damaged(error if buf else "it was cut, there is no mark at its end") from None
        if bytes(buf[257:265]) == _GNU_MAGIC and made.type != tarfile.GNUTYPE_SPARSE:
            made.name = bytes(buf[:100]).partition(b"\0")[0].decode(encoding, errors)
        return made

    def _proc_member(self, tar: Any) -> Any:
        if self.type in _HEADERS and self.size > HEADER_LIMIT:
            raise Refused(f"a header of the archive has {self.size} bytes", code="hostile-archive")
        if self.size < 0:
            raise Refused("a member of the archive has less than no bytes", code="hostile-archive")
        try:
            return super()._proc_member(tar)  # type: ignore[misc]
        except (ValueError, OverflowError) as error:  # numbers and maps of pax records, which tarfile just reads
            raise _damaged(error) from None

    def _proc_pax(self, tar: Any) -> Any:
        """Records are looked at before tarfile does: until Python 3.11.10 a long number would take it hours."""
        stream = tar.fileobj
        records = stream.read(self._block(self.size))  # type: ignore[attr-defined]
        if _MANY_DIGITS.search(records):
            raise Refused("a header of the archive has a number of hundreds of digits", code="hostile-archive")
        tar.fileobj = _Ahead(records, stream)
        try:
            return super()._proc_pax(tar)  # type: ignore[misc]
        finally:
            tar.fileobj = stream


class _Ahead:
    """A stream of which the next read has been done already."""

    def __init__(self, data: bytes, stream: Any) -> None:
        self._data: bytes | None = data
        self._stream = stream

    def read(self, size: int) -> bytes:
        """What was read ahead, once, and then what the stream gives."""
        data, self._data = self._data, None
        found: bytes = self._stream.read(size) if data is None else data
        return found

    def tell(self) -> int:
        """Where the stream is."""
        found: int = self._stream.tell()
        return found


class _Counted(io.RawIOBase):
    """Bytes that went through; `limit()` is how many may."""

    def __init__(self, file: BinaryIO, limit: Callable[[], int] | None = None) -> None:
        super().__init__()
        self._file, self._limit = file, limit
        self.total = 0
        self._headers_end: int | None = None

    def headers(self, most: int | None) -> None:
        """Until this is called with None, only so many bytes may be read."""
        self._headers_end = None if most is None else self.total + most

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self.total += len(data)
        if self._headers_end is not None and self.total > self._headers_end:
            raise Refused("the headers of one member of the archive go on without end", code="hostile-archive")
        if self._limit is not None and self.total > self._limit():
            raise Refused(
                f"the archive unpacks to more than {self.total} bytes, {RATIO} times its own size",
                code="hostile-archive",
                next_step="if that is meant, unpack it and import it without compression",
            )
        return len(data)


@contextmanager
def members(
    file: BinaryIO, pulse: Callable[[], None] = lambda: None
) -> Iterator[tuple[tarfile.TarFile, Iterator[tarfile.TarInfo]]]:
    """The open archive and its members in order, each to be read before the next. Damaged, also while they are read,
    when it is no archive, or ends before its end mark. `pulse` is called while something is passed over."""
    stored = _Counted(file)
    start = io.BufferedReader(stored, MIB)
    magic = start.peek(4)[:4]
    plain: BinaryIO = start
    if magic.startswith(_ZSTD):
        plain = decompressing(start)
    elif magic.startswith(_GZIP):
        plain = gzip.GzipFile(fileobj=start)  # type: ignore[assignment]
    counted = _Counted(plain, lambda: max(ALWAYS, RATIO * stored.total))
    buffered = io.BufferedReader(counted, MIB)
    try:
        counted.headers(HEADER_LIMIT)
        with tarfile.open(fileobj=buffered, mode="r|", tarinfo=_Member, errors="surrogateescape") as tar:
            yield tar, _one_by_one(tar, counted, pulse)
            while buffered.read(MIB):
                pulse()  # to the end, where the compression has its check sum
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(error) from None


def content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The bytes of a file; of a sparse one with its holes. It can be moved forward without reading."""
    found = tar.extractfile(member)
    assert found is not None, "it is a file"
    return cast("IO[bytes]", cast(Any, found).raw)  # the buffer around it asks for more than a stream can do


def _one_by_one(tar: tarfile.TarFile, counted: _Counted, pulse: Callable[[], None]) -> Iterator[tarfile.TarInfo]:
    """Members, none of which is remembered: a million of them must fit into memory."""
    while True:
        try:
            counted.headers(HEADER_LIMIT)
            member = tar.next()
            counted.headers(None)
        except (ValueError, OverflowError, LookupError, RecursionError) as error:  # what tarfile lets through
            raise _damaged(error) from None
        if member is None:
            return
        yield member
        tar.members = []  # type: ignore[attr-defined]
        _pass_over(cast(Any, tar), pulse)


def _pass_over(tar: Any, pulse: Callable[[], None]) -> None:
    """What was not read of a member. tarfile would go on reading after the end, as often as a size that lies says."""
    left = tar.offset - tar.fileobj.tell()
    if left < 0:
        raise _damaged("it has a member of less than no bytes")
    while left:
        found = len(tar.fileobj.read(min(left, MIB)))
        if not found:
            raise _damaged("it ends in the middle of a member")
        left -= found
        pulse()


def _damaged(error: Exception | str) -> Damaged:
    return Damaged(f"the archive cannot be read: {error}", code="archive-damaged", next_step="try it with `tar -t`")
