"""A digest of each extent as it is written, so that a restored tree can be read again and compared.

Apart from the digests of the snapshot, which are of segments and chunks: of an extent there is none in the store, and
so nothing has to be fetched a second time. 16 bytes for each extent, only when somebody wants to read again.
"""

from __future__ import annotations

from domain.contracts import Buffer
from storage.archive import digest


class Marks:
    """By number of the extent. Safe to share between threads that write different ones."""

    def __init__(self, extents: int) -> None:
        self._of = bytearray(digest.ID_BYTES * extents)

    def put(self, extent: int, data: Buffer) -> None:
        """Remember what was written."""
        at = extent * digest.ID_BYTES
        self._of[at : at + digest.ID_BYTES] = digest.short(data)

    def same(self, extent: int, data: Buffer) -> bool:
        """Whether this is what was written."""
        at = extent * digest.ID_BYTES
        return self._of[at : at + digest.ID_BYTES] == digest.short(data)
