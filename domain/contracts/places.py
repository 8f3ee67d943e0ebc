"""Archives that somebody else has made, to be imported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Protocol

from domain.contracts.storing import ObjectInfo


class Places(Protocol):
    """Folders and buckets that this node's configuration names; nothing is ever written there."""

    def open(self, place: str, key: str, tenant_id: str) -> BinaryIO:
        """The object's bytes from the beginning. Refused(code="unknown-place"), also when the place is not open to the
        tenant, or Refused(code="archive-not-found")."""

    def list(self, place: str) -> Iterator[ObjectInfo]:
        """Everything that lies there, in any order."""
