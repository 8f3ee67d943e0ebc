"""The compressing threads: chunks in, segments out.

Apart from reading, so that all cores compress while one reads. Small files arrive placed; big ones
arrive cut, and here their chunks are hashed, looked up, and given places in long runs: a run of
new chunks of half a segment or more is compressed where it lies, shorter ones are gathered first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from storage.archive import digest, segment
from storage.archive.jobs import BlockJob, Extent, Job, SegmentJob
from storage.archive.known import Known, Place, offset_of, place, segment_of
from storage.archive.layout import HOLE, HOLE_LIMIT, SEGMENT_TARGET
from storage.archive.pack import Chunk
from storage.archive.pipeline import Channel
from storage.data_key import DataKey

#: A run this long is a segment of its own; the gathering buffer has room for one shorter run more.
OWN_SEGMENT = SEGMENT_TARGET // 2

_HOLE = place(HOLE, 0)

Ship = Callable[[int, segment.Segment, list[Chunk]], None]


@dataclass(slots=True)
class _Run:
    """New chunks that lie side by side in a block, and the segment that they were promised."""

    start: int
    end: int
    chunks: list[Chunk] = field(default_factory=list)
    slot: int = 0

    @property
    def own(self) -> bool:
        return self.end - self.start >= OWN_SEGMENT


class Condenser:
    """The work of one compressing thread."""

    def __init__(self, known: Known, buffers: Channel[bytearray], key: DataKey | None, ship: Ship) -> None:
        """`ship(slot, segment, chunks)` takes finished segments, sealed if there is a key."""
        self._known, self._buffers, self._ship = known, buffers, ship
        self._closer = segment.Closer(key)
        self._name = digest.namer(None if key is None else key.naming)
        self._gathered: bytearray | None = None
        self._used, self._slot = 0, 0
        self._chunks: list[Chunk] = []

    def run(self, jobs: Channel[Job]) -> None:
        """Work until the channel is finished."""
        for job in jobs:
            if isinstance(job, SegmentJob):
                self._close(memoryview(job.buffer)[: job.used], job.slot, job.chunks)
            else:
                self._block(job)
            self._buffers.put(job.buffer)
        if self._used:
            self._hand_over()

    def _close(self, plain: memoryview, slot: int, chunks: list[Chunk]) -> None:
        self._ship(slot, self._closer.close(plain), chunks)

    def _block(self, job: BlockJob) -> None:
        view, cuts = memoryview(job.buffer), job.cuts
        ids = [b"" if i in job.zeros else self._name(view[a:b]) for i, (a, b) in enumerate(pairwise(cuts))]
        places: list[Place | None] = self._find_old(ids)
        # Nothing heavy under the mutex: places are promised here and filled below.
        with self._known.mutex:
            new = self._find_new(ids, places)
            runs = list(_runs(new, cuts, ids))
            self._promise(runs)
            found = [self._known.find_new_locked(ids[i]) if where is None else where for i, where in enumerate(places)]
        for run in runs:
            if run.own:
                self._close(view[run.start : run.end], run.slot, run.chunks)
            else:
                self._gather(view, run)
        job.piece.extents.extend(_extents(cuts, found))

    def _find_old(self, ids: list[bytes]) -> list[Place | None]:
        """Where the parent has each; a chunk without an id is a hole."""
        if b"" not in ids:
            return self._known.find_old(ids)
        found = iter(self._known.find_old([name for name in ids if name]))
        return [next(found) if name else _HOLE for name in ids]

    def _find_new(self, ids: list[bytes], places: list[Place | None]) -> list[int]:
        """Numbers of the chunks that nobody has; the first only, where one comes twice."""
        new, seen = [], set[bytes]()
        for number, name in enumerate(ids):
            if places[number] is None:
                places[number] = self._known.find_new_locked(name)
                if places[number] is None and name not in seen:
                    seen.add(name)
                    new.append(number)
        return new

    def _promise(self, runs: list[_Run]) -> None:
        """Give each run's chunks their places; the arithmetic of `_gather`, ahead of it."""
        used, slot = self._used, self._slot
        for run in runs:
            if run.own:
                run.slot, offset = self._known.slot_locked(), 0
            else:
                slot = slot if used else self._known.slot_locked()
                run.slot, offset = slot, used
                used += run.end - run.start
                used = used if used < SEGMENT_TARGET else 0
            for name, length in run.chunks:
                self._known.give_locked(name, place(run.slot, offset))
                offset += length

    def _gather(self, view: memoryview, run: _Run) -> None:
        if self._gathered is None:
            self._gathered = bytearray(SEGMENT_TARGET + OWN_SEGMENT)
        self._slot = run.slot
        length = run.end - run.start
        self._gathered[self._used : self._used + length] = view[run.start : run.end]
        self._chunks += run.chunks
        self._used += length
        if self._used >= SEGMENT_TARGET:
            self._hand_over()

    def _hand_over(self) -> None:
        assert self._gathered is not None
        self._close(memoryview(self._gathered)[: self._used], self._slot, self._chunks)
        self._used, self._chunks = 0, []


def _runs(new: list[int], cuts: list[int], ids: list[bytes]) -> Iterator[_Run]:
    """Group chunks that are neighbours, up to a segment's size."""
    run: _Run | None = None
    for number in new:
        start, end = cuts[number], cuts[number + 1]
        if run is not None and (run.end != start or run.end - run.start >= SEGMENT_TARGET):
            yield run
            run = None
        if run is None:
            run = _Run(start, start)
        run.end = end
        run.chunks.append((ids[number], end - start))
    if run is not None:
        yield run


def _extents(cuts: list[int], places: Sequence[Place | None]) -> Iterator[Extent]:
    """One extent per run of chunks that are neighbours where they are stored too."""
    segment_number, offset, length = -1, 0, 0
    for number, where in enumerate(places):
        assert where is not None, "every chunk was found or given a place"
        size = cuts[number + 1] - cuts[number]
        if where == _HOLE:
            follows = segment_number == HOLE and length + size <= HOLE_LIMIT
        else:
            follows = segment_of(where) == segment_number and offset_of(where) == offset + length
        if follows:
            length += size
            continue
        if length:
            yield segment_number, offset, length
        segment_number, offset, length = segment_of(where), offset_of(where), size
    if length:
        yield segment_number, offset, length
