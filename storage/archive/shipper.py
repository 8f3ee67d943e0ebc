"""Filling packs and storing them while the next one fills.

Apart from compressing, because several threads add segments to one pack and others wait for the
network. Packs that were stored and are named by no manifest are garbage by their prefix: nothing here
needs to be undone.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass

from domain.contracts import ObjectStore, Watch
from storage.archive.pack import Chunk, PackBuilder
from storage.archive.pipeline import Channel
from storage.archive.segment import Segment
from storage.data_key import DataKey

#: Of a segment: pack number, offset, stored bytes, plain bytes, flags, digest.
Row = tuple[int, int, int, int, int, bytes]


@dataclass(slots=True)
class Pack:
    """A pack of this snapshot."""

    name: str  # <snapshot id>/<random token>
    builder: PackBuilder
    size: int = 0


class Shipper:
    """The packs of one snapshot. `add` is safe to call from several threads."""

    def __init__(
        self,
        store: ObjectStore,
        pack_root: str,
        snapshot_id: str,
        key: DataKey | None,
        full: Channel[Pack],
        watch: Watch,
    ) -> None:
        self._store, self._root, self._snapshot_id, self._full, self._watch = store, pack_root, snapshot_id, full, watch
        self._key = key
        self._mutex = threading.Lock()
        self._open: Pack | None = None
        self.packs: list[Pack] = []
        #: By the segment's slot.
        self.rows: dict[int, Row] = {}

    def add(self, slot: int, segment: Segment, chunks: list[Chunk]) -> None:
        """Put a segment into the pack that is being filled."""
        full = None
        with self._mutex:
            if self._open is None:
                name = f"{self._snapshot_id}/{secrets.token_hex(16)}"
                self._open = Pack(name, PackBuilder(name, self._key))
                self.packs.append(self._open)
            self.rows[slot] = (len(self.packs) - 1, *self._open.builder.add(segment, chunks))
            if self._open.builder.full:
                full, self._open = self._open, None
        if full is not None:
            self._full.put(full)

    def finish(self) -> None:
        """Send what is left; no segment may follow."""
        if self._open is not None:
            self._full.put(self._open, self._watch.check)
            self._open = None
        self._full.finish()

    def upload(self) -> None:
        """Store packs until there are no more: the work of an uploading thread."""
        for pack in self._full:
            parts = pack.builder.finish()
            self._watch.check()
            self._store.put(self._root + pack.name, parts)
            pack.size = pack.builder.size
            pack.builder = PackBuilder()  # lets go of the bytes
            self._watch.check()
