"""Data that is not in the directory, as files of the manifest's tree: one for each source.

Apart from the walk, because nothing is looked up and nothing can be read twice. So everything that holds of files
holds of sources: chunks that are known are not stored again, blocks of zeros are holes, and every byte is verified.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence

from domain.contracts import Source, Watch
from domain.source import SourceKind
from storage.archive.blocks import Blocks
from storage.archive.entries import Entries
from storage.archive.jobs import Piece

_FILE = stat.S_IFREG | 0o600
_DIRECTORY = stat.S_IFDIR | 0o700


def append_row(entries: Entries, parent: int, name: bytes, mode: int = _DIRECTORY) -> int:
    """A row that no file system has: owned by root, without a time."""
    entries.parent.append(parent)
    entries.name.append(name)
    entries.mode.append(mode)
    for column in (entries.uid, entries.gid, entries.mtime, entries.size, entries.ctime, entries.inode):
        column.append(0)
    return len(entries.name) - 1


def read_sources(
    entries: Entries, place: int, sources: Sequence[Source], blocks: Blocks, watch: Watch
) -> list[tuple[int, list[Piece]]]:
    """Read each source as a file in the directory of row `place`; (row, pieces) of each. Raises what a source says."""
    found = []
    for source in sorted(sources, key=lambda one: one.name):
        row = append_row(entries, place, source.name.encode("ascii"), _FILE)
        pieces: list[Piece] = []
        with source.save(watch) as fill:
            cut = blocks.fixed if source.kind is SourceKind.VOLUME else blocks.by_content
            entries.size[row] = cut(fill, pieces)
        found.append((row, pieces))
        watch.advance(0, 1)
    return found
