"""Data of a service that is not in its directory: what saves and restores it on this node.

Apart from the archive, which stores any bytes, because how they are had is the node's affair: a message names a
source, the node's configuration says which program or which volume that is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from domain.contracts.watch import Watch
from domain.service import Service
from domain.source import SourceKind

Work = Literal["snapshot", "restore"]

#: Fills a buffer and says how many bytes: fewer only at the end.
Fill = Callable[[memoryview], int]


class Source(Protocol):
    """One source of one service on this node."""

    name: str
    kind: SourceKind

    def save(self, watch: Watch) -> AbstractContextManager[Fill]:
        """Its bytes, once. Leaving the block raises Refused(code="source-failed") or SourceUnavailable unless
        everything went well: what was read until then is worth nothing."""

    def prepare(self, size: int) -> None:
        """Refused when that many bytes cannot be restored to it; changes nothing."""

    def restore(self, path: str, watch: Watch) -> None:
        """Bring back the bytes of the file, completely and durably; repeated after an interruption, with the same
        result. Never runs twice at a time, and cannot be cancelled. Raises like `save`."""


class Hooks(Protocol):
    """The node's own programs around a snapshot or a restore, such as one that makes a database rest."""

    def any(self, what: Work) -> bool:
        """Whether there is a program for before or after."""

    def before(self, what: Work, service: Service, watch: Watch) -> None:
        """Run the program, if there is one, once none runs any more that an earlier holder has left. Refused or
        SourceUnavailable when it says that the work must not begin."""

    def after(self, what: Work, service: Service, watch: Watch) -> str | None:
        """Run the other one, also when the work has failed, and also twice, but never two of a service at a time; what
        went wrong. It keeps the lease and is stopped neither for a cancel nor for a shutdown. When the lease is lost
        it is: LeaseLost, for whoever holds it now wants the data to rest, and runs it afterwards. When this process
        ends first the program goes on, and whoever takes over waits for it in `before`."""


class Sources(Protocol):
    """All sources that this node knows."""

    def of(self, service: Service, names: Sequence[str]) -> tuple[Source, ...]:
        """Those of the service; Refused(code="unknown-source") for one that the node does not know."""
