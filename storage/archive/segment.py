"""A segment: about 4 MiB of chunks compressed together, so that small files share a dictionary.

Apart from the pack that holds it, because it is the unit of work: compressed, checked and decompressed
whole, by one thread. Its digest is that of the plain bytes, so it covers compression and decompression
too; what does not become smaller is stored as it is.

A sealed segment is bound to its digest, its length and its flags, which the reader has from a sealed table: put
in the place of another one it does not open. It is not bound to its pack, so that packs can be put together anew
without opening it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from domain.contracts import Buffer
from domain.errors import Damaged
from storage.archive import digest
from storage.archive.compression import Compressor, Decompressor
from storage.data_key import DataKey

RAW = 0
ZSTD = 1
#: A bit beside those two: the stored bytes are sealed. A reader refuses every flag that it does not know.
SEALED = 2
FLAGS = (RAW, ZSTD, SEALED | RAW, SEALED | ZSTD)

#: Stored compressed only when that saves at least a fiftieth; else restoring would work for nothing.
_WORTH = 0.98


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment ready to be put into a pack."""

    stored: Buffer
    plain_bytes: int
    flags: int
    digest: bytes


class Closer:
    """Closes segments under one key, or plain without. Not to be shared between threads."""

    def __init__(self, key: DataKey | None) -> None:
        self._key, self._compressor = key, Compressor()
        self._name = digest.namer(None if key is None else key.naming)

    def close(self, plain: memoryview) -> Segment:
        """Digest, compress, seal; the caller may reuse the buffer afterwards."""
        mark = self._name(plain)
        packed: Buffer = self._compressor.compress(plain)
        flags = ZSTD
        if len(packed) > len(plain) * _WORTH:
            packed, flags = plain, RAW
        if self._key is None:
            return Segment(bytes(packed), len(plain), flags, mark)
        flags |= SEALED
        return Segment(self._key.seal(packed, _bound(len(plain), flags, mark)), len(plain), flags, mark)


class Opener:
    """Opens the segments of one snapshot. Not to be shared between threads."""

    def __init__(self, key: DataKey | None) -> None:
        """`key` is what the snapshot's manifest was opened with; None for a plain one."""
        self._key, self._decompressor = key, Decompressor()
        self._name = digest.namer(None if key is None else key.naming)

    def open(self, stored: memoryview, row: np.void) -> Buffer:
        """The plain bytes of a row of a segment table, verified. Raises Damaged."""
        plain_bytes, flags, mark = int(row["plain"]), int(row["flags"]), row["digest"].tobytes()
        packed = self._unsealed(stored, plain_bytes, flags, mark)
        if flags & ~SEALED == ZSTD:
            opened: Buffer = self._decompressor.decompress(packed, plain_bytes)
        elif flags & ~SEALED == RAW and len(packed) == plain_bytes:
            opened = packed
        else:
            raise Damaged(f"a segment has unknown flags {flags} or a length that they do not allow")
        if self._name(opened) != mark:
            raise Damaged("the bytes of a segment are not the bytes that were stored")
        return opened

    def _unsealed(self, stored: memoryview, plain_bytes: int, flags: int, mark: bytes) -> Buffer:
        if bool(flags & SEALED) != (self._key is not None):
            # A sealed snapshot that took in a plain segment would trust bytes that anybody can write.
            raise Damaged("a sealed snapshot has a plain segment, or a plain one a sealed segment")
        return stored if self._key is None else self._key.unseal(stored, _bound(plain_bytes, flags, mark))


def _bound(plain_bytes: int, flags: int, mark: bytes) -> bytes:
    return b"segment" + struct.pack("<IB", plain_bytes, flags) + mark
