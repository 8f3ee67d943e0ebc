"""A pack: an object of about 16 MiB that holds segments and, at its end, the index of their chunks.

Apart from the manifest, because it is complete in itself: which chunk is where in it can be learnt from
the pack alone, so every index elsewhere is a cache. Segments are covered by their digests, the index by
its own; a pack that is cut short has no footer and is refused. In a sealed pack, which begins and ends with the
other magic, segments and index are sealed; the index is bound to the pack's name.

    magic | segment ... segment | index (zstd of a column block) | footer

    footer: u32 stored bytes of the index, u32 its plain bytes, 32 bytes BLAKE3 of the stored index, magic
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.contracts import Buffer
from domain.errors import Damaged
from storage.archive import columns, digest, layout
from storage.archive.compression import compress_table, decompress_table
from storage.archive.layout import (
    CHUNK_LIMIT,
    INDEX_LIMIT,
    PACK_LIMIT,
    PACK_MAGIC,
    SEALED_PACK_MAGIC,
    SEGMENT_LIMIT,
)
from storage.archive.segment import FLAGS, SEALED, Segment
from storage.data_key import ADDED_BYTES, DataKey

_FOOTER = struct.Struct("<II32s8s")
FOOTER_BYTES = _FOOTER.size

#: One row per segment, as manifests and indexes keep it in memory.
SEGMENT_ROW = np.dtype(
    [("pack", "<u4"), ("offset", "<u4"), ("stored", "<u4"), ("plain", "<u4"), ("flags", "u1"), ("digest", "V16")]
)
Chunk = tuple[bytes, int]  # id, length; in the order of their bytes in the segment


@dataclass(slots=True)
class PackBuilder:
    """Segments of one pack until it is written. Not to be shared between threads."""

    name: str = ""
    key: DataKey | None = None
    parts: list[Buffer] = field(default_factory=list)
    size: int = len(PACK_MAGIC)
    rows: list[tuple[int, int, int, int, bytes]] = field(default_factory=list)
    chunks: list[list[Chunk]] = field(default_factory=list)
    chunk_count: int = 0

    @property
    def full(self) -> bool:
        """Whether no further segment belongs into it."""
        return self.size >= layout.PACK_TARGET or self.chunk_count >= layout.PACK_CHUNKS

    def add(self, segment: Segment, chunks: list[Chunk]) -> tuple[int, int, int, int, bytes]:
        """Append; the segment's offset, stored and plain bytes, flags and digest."""
        row = (self.size, len(segment.stored), segment.plain_bytes, segment.flags, segment.digest)
        self.parts.append(segment.stored)
        self.size += len(segment.stored)
        self.rows.append(row)
        self.chunks.append(chunks)
        self.chunk_count += len(chunks)
        return row

    def finish(self) -> list[Buffer]:
        """The parts of the object, with index and footer; `size` is then its size."""
        flat = [chunk for chunks in self.chunks for chunk in chunks]
        index = columns.encode(
            {
                "offset": np.array([row[0] for row in self.rows], "<u4"),
                "stored": np.array([row[1] for row in self.rows], "<u4"),
                "plain": np.array([row[2] for row in self.rows], "<u4"),
                "flags": np.array([row[3] for row in self.rows], "u1"),
                "digest": np.frombuffer(b"".join(row[4] for row in self.rows), "V16"),
                "chunks": np.array([len(chunks) for chunks in self.chunks], "<u4"),
                "length": np.array([length for _, length in flat], "<u4"),
                "id": np.frombuffer(b"".join(name for name, _ in flat), "V16"),
            }
        )
        stored: Buffer = compress_table(index)
        if self.key is not None:
            stored = self.key.seal(stored, _bound(self.name))
        magic = PACK_MAGIC if self.key is None else SEALED_PACK_MAGIC
        footer = _FOOTER.pack(len(stored), len(index), digest.full(stored), magic)
        self.parts = [magic, *self.parts, stored, footer]
        self.size += len(stored) + len(footer)
        return self.parts


@dataclass(frozen=True, slots=True)
class PackIndex:
    """Where the chunks of one pack are."""

    segments: NDArray[np.void]  # SEGMENT_ROW, with pack 0
    chunk_segment: NDArray[np.uint32]
    chunk_offset: NDArray[np.uint32]  # in the segment's plain bytes
    chunk_length: NDArray[np.uint32]
    chunk_id: NDArray[np.void]


def index_bytes(tail: bytes, pack_bytes: int) -> int:
    """How many bytes at the end of the pack are index and footer, from its last FOOTER_BYTES or more."""
    if len(tail) < FOOTER_BYTES:
        raise Damaged("a pack is too short to be one")
    stored, plain, _, magic = _FOOTER.unpack(tail[-FOOTER_BYTES:])
    if magic not in (PACK_MAGIC, SEALED_PACK_MAGIC):
        raise Damaged("a pack does not end as a pack of format 1 or 2")
    if stored + FOOTER_BYTES > pack_bytes - len(PACK_MAGIC) or plain > INDEX_LIMIT:
        raise Damaged("the index of a pack does not fit into it")
    return int(stored) + FOOTER_BYTES


def read_index(tail: bytes, pack_bytes: int, name: str, key: DataKey | None) -> PackIndex:
    """Parse index and footer (exactly `index_bytes` of them) of the pack `name`; with a key it must be sealed, without
    it must not be. Raises Damaged."""
    if pack_bytes > PACK_LIMIT or index_bytes(tail, pack_bytes) != len(tail):
        raise Damaged("the index of a pack has another length than its footer says")
    stored, plain, mark, magic = _FOOTER.unpack(tail[-FOOTER_BYTES:])
    if (magic == SEALED_PACK_MAGIC) != (key is not None):
        raise Damaged(f"pack {name} is sealed and its snapshot is not, or the reverse")
    packed = tail[:stored]
    if digest.full(packed) != mark:
        raise Damaged("the index of a pack is not what was written")
    if key is not None:
        packed = key.unseal(packed, _bound(name))
    table = columns.decode(decompress_table(packed, plain))
    try:
        index = _index(table)
    except KeyError as error:
        raise Damaged(f"the index of a pack lacks the column {error}") from None
    _check_places(index.segments, pack_bytes - len(tail), sealed=key is not None)
    return index


def _bound(name: str) -> bytes:
    return b"index|" + name.encode("ascii")


def _index(table: dict[str, columns.Column]) -> PackIndex:
    segments = np.zeros(len(_column(table, "offset", "u4")), SEGMENT_ROW)
    for name in ("offset", "stored", "plain", "flags", "digest"):
        segments[name] = _column(table, name, SEGMENT_ROW[name].str[1:], len(segments))
    counts = _column(table, "chunks", "u4", len(segments)).astype(np.int64)
    length = _column(table, "length", "u4").astype(np.int64)
    identity = _column(table, "id", "V16", len(length))
    if counts.sum() != len(length) or (counts == 0).any():
        raise Damaged("the index of a pack counts its chunks in two ways")
    if (length > CHUNK_LIMIT).any() or (length == 0).any():
        raise Damaged("the index of a pack names sizes that no writer makes")
    owner = np.repeat(np.arange(len(counts)), counts)
    running = np.cumsum(length) - length
    offset = running - np.repeat(running[np.cumsum(counts) - counts], counts)
    if (np.bincount(owner, weights=length, minlength=len(counts)) != segments["plain"]).any():
        raise Damaged("the chunks of a segment do not fill it")
    return PackIndex(segments, owner.astype(np.uint32), offset.astype(np.uint32), length.astype(np.uint32), identity)


def _column(table: dict[str, columns.Column], name: str, kind: str, rows: int | None = None) -> NDArray[Any]:
    """A column of that type (numpy's code) and length, as every writer makes it."""
    column = table[name]
    if isinstance(column, bytes) or column.dtype.str[1:] != kind or rows not in (None, len(column)):
        raise Damaged(f"the column {name} of a pack's index has another type or length than it must")
    return column


def _check_places(rows: NDArray[np.void], data_end: int, *, sealed: bool) -> None:
    """Segments lie in the pack one after the other, with sizes and flags that a writer makes. The next snapshot
    takes them over: what its own manifest could not hold must be found here."""
    start, end = rows["offset"].astype(np.int64), rows["offset"].astype(np.int64) + rows["stored"]
    in_order = (start >= len(PACK_MAGIC)).all() and (end <= data_end).all() and (start[1:] >= end[:-1]).all()
    if not in_order:
        raise Damaged("the index of a pack names a segment outside of it, or two that overlap")
    if not possible(rows) or (((rows["flags"] & SEALED) != 0) != sealed).any():
        raise Damaged("the index of a pack names sizes or flags that no writer makes")


def possible(rows: NDArray[np.void]) -> bool:
    """Whether a writer could have made segments of these sizes with these flags."""
    most = rows["plain"].astype(np.int64) + np.where(rows["flags"] & SEALED, ADDED_BYTES, 0)
    sizes = (rows["plain"] > 0) & (rows["plain"] <= SEGMENT_LIMIT) & (rows["stored"] > 0) & (rows["stored"] <= most)
    return bool(sizes.all() and np.isin(rows["flags"], FLAGS).all())
