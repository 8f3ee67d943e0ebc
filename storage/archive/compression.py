"""Zstandard as the archive uses it: bounded output, one context per thread.

Apart from segments and manifests, which both use it, so that parameters and limits are set once. A
reader states how many bytes must come out and gets exactly those or `Damaged`; it never allocates more.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import zstandard

from domain.contracts import Buffer
from domain.errors import Damaged
from storage.archive.layout import TABLE_ALWAYS, TABLE_RATIO

#: Like level 3 with longer matches: 5-10 % faster at the same size on application trees, logs and
#: database pages (measured). A window of 4 MiB covers a whole segment.
_SEGMENT = {
    "window_log": 22,
    "hash_log": 17,
    "chain_log": 16,
    "search_log": 1,
    "min_match": 6,
    "target_length": 0,
    "strategy": zstandard.STRATEGY_DFAST,
}
_TABLE_LEVEL = 6
#: The head of a skippable frame (RFC 8878, 3.1.2): magic and length of what follows, which no reader looks at.
_SKIPPED, _SKIPPED_MAGIC = struct.Struct("<II"), 0x184D2A50


class Compressor:
    """Compresses segments. Not to be shared between threads."""

    def __init__(self) -> None:
        parameters = zstandard.ZstdCompressionParameters(**_SEGMENT, write_checksum=False)
        self._context = zstandard.ZstdCompressor(compression_params=parameters)

    def compress(self, data: Buffer) -> bytes:
        """One frame that states its content size."""
        return self._context.compress(data)


class Decompressor:
    """Decompresses segments. Not to be shared between threads."""

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor()

    def decompress(self, data: Buffer, size: int) -> bytes:
        """Exactly `size` bytes, or Damaged."""
        try:
            # Checked before anything is allocated: a frame's own claim is not to be trusted.
            if zstandard.frame_content_size(data) != size:
                raise Damaged("a compressed part does not state the size that its index states")
            plain = self._context.decompress(data, max_output_size=size)
        except zstandard.ZstdError as error:
            raise Damaged(f"a compressed part cannot be decompressed: {error}") from None
        if len(plain) != size:
            raise Damaged(f"a compressed part holds {len(plain)} bytes, {size} were expected")
        return plain


def compress_stream(pieces: Iterable[Buffer]) -> Iterator[bytes]:
    """One zstd frame of everything, level 3 on two threads, with a checksum that `zstd -t` verifies."""
    work = zstandard.ZstdCompressor(level=3, threads=2, write_checksum=True).compressobj()
    for piece in pieces:
        if made := work.compress(piece):
            yield made
    yield work.flush()


def decompressing(file: BinaryIO) -> BinaryIO:
    """What a stream of zstd frames unpacks to, a little at a time. Reading raises Damaged."""
    return io.BufferedReader(_Reader(file))


class _Reader(io.RawIOBase):
    """Frames one after the other; a window of at most 128 MiB, as the command line tool's."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        context = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._stream = context.stream_reader(file, read_across_frames=True)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._stream.readinto(buffer)
        except zstandard.ZstdError as error:
            raise Damaged(f"a compressed archive cannot be unpacked: {error}") from None


def decompress_table(data: Buffer, size: int) -> bytes:
    """The same for columns, which whoever wrote them may have made to do harm: a few bytes that unpack to gigabytes
    are Damaged before anything is allocated."""
    if size > max(TABLE_ALWAYS, TABLE_RATIO * len(data)):
        raise Damaged(f"a table of {len(data)} bytes claims to unpack to {size}, more than any writer's does")
    return Decompressor().decompress(data, size)


def compress_table(data: Buffer) -> bytes:
    """For columns: written once, read often, a little harder compressed. A table that says the same over and over, as
    that of a volume of equal blocks, is made as long as a reader asks for, by a frame that stands for nothing."""
    stored = zstandard.ZstdCompressor(level=_TABLE_LEVEL, write_checksum=False).compress(data)
    lacking = -(-len(data) // TABLE_RATIO) - len(stored)
    if len(data) <= TABLE_ALWAYS or lacking <= 0:
        return stored
    return stored + _SKIPPED.pack(_SKIPPED_MAGIC, lacking) + bytes(lacking)
