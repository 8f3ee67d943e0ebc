"""Feeding a snapshot from this node: the service's directory, and its other sources.

Apart from the writer, which stores whatever it is fed, because an archive that is imported is fed by other code.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from domain.contracts import SnapshotRequest, Watch
from domain.errors import NotFound, Refused
from storage.archive.entries import Entries
from storage.archive.exclusion import Exclusion
from storage.archive.feeder import Feeder
from storage.archive.former import Former
from storage.archive.freeze import Unchanged
from storage.archive.layout import SOURCES
from storage.archive.streams import append_row, read_sources
from storage.archive.walker import Walker

#: Fills the table, hands every new byte to the feeder, and says which files are the parent's.
Feed = Callable[[Entries, Former | None, Feeder], Unchanged]


def feed(request: SnapshotRequest, watch: Watch) -> Feed:
    """What reads the directory and the sources of the request."""

    def read(entries: Entries, former: Former | None, feeder: Feeder) -> Unchanged:
        with _root(request) as root:
            unchanged, place = _walk(request, root, entries, former, feeder, watch)
            feeder.finish()
        feeder.big += read_sources(entries, place, request.sources, feeder.blocks, watch)
        return unchanged

    return read


def _walk(
    request: SnapshotRequest, root: int | None, entries: Entries, former: Former | None, feeder: Feeder, watch: Watch
) -> tuple[Unchanged, int]:
    """Walk the directory, if there is one to read; what is unchanged in it, and the row that sources belong to."""
    if root is None:
        append_row(entries, 0, b"")
        return (array("q"), array("q")), append_row(entries, 0, SOURCES)
    place = SOURCES if request.sources else None
    walker = Walker(root, entries, Exclusion(request.exclude), former, feeder.take, watch, place)
    walker.run()
    return (walker.unchanged, walker.unchanged_there), walker.place_row


@contextmanager
def _root(request: SnapshotRequest) -> Iterator[int | None]:
    """The open directory of the service, if it is to be read."""
    if request.directory is None:
        yield None
        return
    root = _open_root(request.directory, request.service_id)
    try:
        yield root
    finally:
        os.close(root)


def _open_root(directory: str, service_id: str) -> int:
    try:
        return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"the directory of service {service_id} is gone", code="directory-not-found") from None
    except OSError as error:
        raise Refused(
            f"the directory of service {service_id} cannot be read: {os.strerror(error.errno or 0)}",
            code="directory-unreadable",
            next_step="give the worker's user the right to read it",
        ) from error
