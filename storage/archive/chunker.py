"""Cutting big files where their content says so, so that an insertion moves only the cuts beside it.

Apart from reading, because the cutting rule decides what two versions of a file share: change a number
here and every big file is stored anew once. Existing snapshots stay readable: a reader never cuts.
"""

from __future__ import annotations

from pyfastcdc import FastCDC

from storage.archive.layout import CHUNK_AVERAGE

LARGEST = CHUNK_AVERAGE * 4


class Chunker:
    """FastCDC with normalised chunking. Not to be shared between threads."""

    def __init__(self) -> None:
        self._cdc = FastCDC(CHUNK_AVERAGE, min_size=CHUNK_AVERAGE // 4, max_size=LARGEST, normalized_chunking=2)

    def cuts(self, data: memoryview, last: bool) -> list[int]:
        """Where chunks begin and end: 0, ..., the last cut. Unless `last`, what follows that cut must
        be put before the next data, as its end was not a cut but the end of what was read."""
        found = [0]
        found += [chunk.offset + chunk.length for chunk in self._cdc.cut_buf(data)]
        if not last:
            found.pop()
        return found
