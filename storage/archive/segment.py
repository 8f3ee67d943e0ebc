"""A segment: about 4 MiB of chunks compressed together, so that small files share a dictionary.

Apart from the pack that holds it, because it is the unit of work: compressed, checked and decompressed
whole, by one thread. Its digest is that of the plain bytes, so it covers compression and decompression
too; what does not become smaller is stored as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.contracts import Buffer
from domain.errors import Damaged
from storage.archive import digest
from storage.archive.compression import Compressor, Decompressor

RAW = 0
ZSTD = 1
#: Reserved: the stored bytes are sealed. A reader of format 1 refuses every flag that it does not know.
SEALED = 2

#: Stored compressed only when that saves at least a fiftieth; else restoring would work for nothing.
_WORTH = 0.98


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment ready to be put into a pack."""

    stored: bytes
    plain_bytes: int
    flags: int
    digest: bytes


def close(plain: memoryview, compressor: Compressor) -> Segment:
    """Compress and digest; the caller may reuse the buffer afterwards."""
    mark = digest.short(plain)
    packed = compressor.compress(plain)
    if len(packed) <= len(plain) * _WORTH:
        return Segment(packed, len(plain), ZSTD, mark)
    return Segment(bytes(plain), len(plain), RAW, mark)


def open_segment(stored: memoryview, plain_bytes: int, flags: int, mark: bytes, decompressor: Decompressor) -> Buffer:
    """The plain bytes, verified. Raises Damaged."""
    plain: Buffer
    if flags == ZSTD:
        plain = decompressor.decompress(stored, plain_bytes)
    elif flags == RAW and len(stored) == plain_bytes:
        plain = stored
    else:
        raise Damaged(f"a segment has unknown flags {flags} or a length that they do not allow")
    if digest.short(plain) != mark:
        raise Damaged("the bytes of a segment are not the bytes that were stored")
    return plain
