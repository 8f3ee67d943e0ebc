"""Which chunks are stored already, and where: the parent's, found by search, and this snapshot's own.

Apart from reading and compressing, which ask it from several threads. The parent's chunks are sorted
arrays (about 40 bytes each), not objects, so millions of them fit; those new in this snapshot are a
dictionary (about 150 bytes each). A place is given out when a chunk is first seen, before it is
compressed: nothing is published unless everything that was placed has been stored.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Segments of this snapshot are numbered from here until they are in a pack; below are the parent's.
NEW = 1 << 31
_OFFSET_BITS = 23  # a segment's plain bytes are at most 8 MiB

Place = int  # segment number << 23 | offset in its plain bytes


def place(segment: int, offset: int) -> Place:
    """Where a chunk is, in one number."""
    return segment << _OFFSET_BITS | offset


def segment_of(where: Place) -> int:
    """The segment's number."""
    return where >> _OFFSET_BITS


def offset_of(where: Place) -> int:
    """The offset in the segment's plain bytes."""
    return where & ((1 << _OFFSET_BITS) - 1)


@dataclass(frozen=True, slots=True)
class OldChunks:
    """Chunks of the parent, sorted by the first eight bytes of their ids."""

    keys: NDArray[np.uint64]
    ids: NDArray[np.void]
    segments: NDArray[np.uint32]  # numbers below NEW
    offsets: NDArray[np.uint32]

    @classmethod
    def build(cls, ids: NDArray[np.void], segments: NDArray[np.uint32], offsets: NDArray[np.uint32]) -> OldChunks:
        """Sort."""
        keys = np.ascontiguousarray(ids).view("<u8").reshape(-1, 2)[:, 0]
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], ids[order], segments[order], offsets[order])

    def find(self, ids: Sequence[bytes]) -> list[Place | None]:
        """Where each is, or None."""
        if not len(self.keys):
            return [None] * len(ids)
        wanted = np.frombuffer(b"".join(ids), "<u8").reshape(-1, 2)[:, 0]
        at = np.searchsorted(self.keys, wanted)
        hit = (at < len(self.keys)) & (self.keys[np.minimum(at, len(self.keys) - 1)] == wanted)
        found: list[Place | None] = [None] * len(ids)
        for i in np.nonzero(hit)[0].tolist():
            found[i] = self._exact(int(at[i]), ids[i])
        return found

    def _exact(self, at: int, wanted: bytes) -> Place | None:
        key = self.keys[at]
        while at < len(self.keys) and self.keys[at] == key:
            if self.ids[at].tobytes() == wanted:
                return place(int(self.segments[at]), int(self.offsets[at]))
            at += 1
        return None


class Known:
    """Places of chunks. Safe to share between threads."""

    def __init__(self, load_old: Callable[[], OldChunks] | None) -> None:
        """`load_old` finds the parent's chunks; it is called once, when the first chunk is looked up."""
        self._load_old = load_old
        self._loading = threading.Lock()
        self._old: OldChunks | None = None
        self._new: dict[bytes, Place] = {}
        self._slots = 0
        #: Hold it while a chunk's place is looked up and given out.
        self.mutex = threading.Lock()

    def slot(self) -> int:
        """The number of a segment that is about to be filled."""
        with self.mutex:
            return self.slot_locked()

    def slot_locked(self) -> int:
        """The same for a caller that holds the mutex."""
        self._slots += 1
        return NEW + self._slots - 1

    def find_old(self, ids: Sequence[bytes]) -> list[Place | None]:
        """Where the parent has each, or None."""
        old = self._parents()
        return old.find(ids) if old is not None else [None] * len(ids)

    def claim(self, name: bytes, otherwise: Place) -> Place:
        """Where the chunk is; `otherwise`, which it is given, if it is new."""
        old = self._parents()
        found = old.find((name,))[0] if old is not None else None
        if found is not None:
            return found
        with self.mutex:
            return self._new.setdefault(name, otherwise)

    def find_new_locked(self, name: bytes) -> Place | None:
        """Where this snapshot has it, or None; the caller holds the mutex."""
        return self._new.get(name)

    def give_locked(self, name: bytes, where: Place) -> None:
        """Record a new chunk; the caller holds the mutex."""
        self._new[name] = where

    def _parents(self) -> OldChunks | None:
        if self._load_old is not None:
            with self._loading:
                if self._load_old is not None:
                    self._old = self._load_old()
                    self._load_old = None
        return self._old
