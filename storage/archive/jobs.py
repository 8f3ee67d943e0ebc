"""What the reading thread hands to the compressing threads, and where they write down what became of it.

Apart from both ends, so that neither imports the other. Buffers are taken from a fixed set and go
back to it: memory does not grow with the tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.archive.layout import HOLE, HOLE_LIMIT
from storage.archive.pack import Chunk

Extent = tuple[int, int, int]  # segment number, offset in it, length

#: Bytes of a big file that are read and cut at once.
BLOCK = 8 << 20


@dataclass(slots=True)
class Piece:
    """A run of a big file: its extents, once a compressing thread has placed its chunks."""

    extents: list[Extent] = field(default_factory=list)

    @classmethod
    def hole(cls, length: int) -> Piece:
        """Bytes that read as zero and take no room."""
        whole, rest = divmod(length, HOLE_LIMIT)
        return cls([(HOLE, 0, HOLE_LIMIT)] * whole + ([(HOLE, 0, rest)] if rest else []))


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """A buffer full of small files, placed already: compress it."""

    buffer: bytearray
    used: int
    slot: int
    chunks: list[Chunk]


@dataclass(frozen=True, slots=True)
class BlockJob:
    """A part of a big file, cut: hash, look up, compress what is new, write the extents into `piece`."""

    buffer: bytearray
    cuts: list[int]
    piece: Piece
    zeros: frozenset[int] = frozenset()  # numbers of chunks that are all zero: holes


Job = SegmentJob | BlockJob
