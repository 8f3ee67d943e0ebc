"""Cutting a run of bytes into chunks, block by block, for the compressing threads.

Apart from the feeder, which knows files, because the output of a program and a volume are cut as well: by content,
so that an insertion moves few cuts, or in fixed blocks, where what changes changes in place.
"""

from __future__ import annotations

import numpy as np

from domain.contracts import Fill, Watch
from storage.archive.chunker import Chunker
from storage.archive.jobs import BLOCK, BlockJob, Job, Piece
from storage.archive.layout import VOLUME_BLOCK
from storage.archive.pipeline import Channel


class Blocks:
    """Reads runs of bytes into buffers of the fixed set and hands them over, cut. Used from one thread."""

    def __init__(self, jobs: Channel[Job], buffers: Channel[bytearray], watch: Watch) -> None:
        self._jobs, self._buffers, self._watch = jobs, buffers, watch
        self._chunker: Chunker | None = None

    def take(self) -> bytearray:
        """A buffer, when one is free."""
        buffer = self._buffers.take(self._watch.check)
        assert buffer is not None, "the set of buffers is never finished"
        return buffer

    def by_content(self, fill: Fill, pieces: list[Piece], size: int | None = None) -> int:
        """Cut what `fill` gives, at most `size` bytes of it, where its content says so; how many bytes there were."""
        self._chunker = self._chunker or Chunker()
        tail, done = b"", 0
        while True:
            buffer = self.take()
            view = memoryview(buffer)
            view[: len(tail)] = tail
            wanted = BLOCK if size is None else min(BLOCK, size - done)
            found = fill(view[len(tail) : len(tail) + wanted]) if wanted else 0
            done += found
            last = done == size or found < wanted
            filled = len(tail) + found
            cuts = self._chunker.cuts(view[:filled], last)
            tail = bytes(view[cuts[-1] : filled])
            if len(cuts) > 1:
                pieces.append(Piece())
                self._jobs.put(BlockJob(buffer, cuts, pieces[-1]), self._watch.check)
            else:
                self._buffers.put(buffer)
            self._watch.check()
            if last:
                return done

    def fixed(self, fill: Fill, pieces: list[Piece]) -> int:
        """Cut what `fill` gives into blocks of `VOLUME_BLOCK` bytes, those that are zero left out as holes; how many
        bytes there were."""
        done = 0
        while True:
            buffer = self.take()
            found = fill(memoryview(buffer)[:BLOCK])
            done += found
            if found:
                cuts = [*range(0, found, VOLUME_BLOCK), found]
                pieces.append(Piece())
                self._jobs.put(BlockJob(buffer, cuts, pieces[-1], _zeros(buffer, cuts)), self._watch.check)
            else:
                self._buffers.put(buffer)
            self._watch.advance(found)
            if found < BLOCK:
                return done


def _zeros(buffer: bytearray, cuts: list[int]) -> frozenset[int]:
    """Numbers of the blocks that hold nothing but zeros."""
    words = np.frombuffer(buffer, np.uint64, cuts[-1] // 8)
    per_block = VOLUME_BLOCK // 8
    whole = cuts[-1] // VOLUME_BLOCK
    empty = ~words[: whole * per_block].reshape(whole, per_block).any(axis=1)
    zeros = set(np.nonzero(empty)[0].tolist())
    if cuts[-1] % VOLUME_BLOCK and not any(memoryview(buffer)[cuts[-2] : cuts[-1]]):
        zeros.add(whole)
    return frozenset(zeros)
