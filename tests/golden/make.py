"""How the pinned objects beside this file were made: run it, and look at every byte that differs.

Format 1 is a promise: a change of these files means that older snapshots may not be readable any more.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from storage.archive import digest
from storage.archive.compression import Compressor
from storage.archive.freeze import empty_tree
from storage.archive.manifest import Header, Manifest, Tree, encode, root_digest
from storage.archive.pack import SEGMENT_ROW, PackBuilder
from storage.archive.segment import close

FOLDER = Path(__file__).parent
HELLO, SECOND, NOISE = b"hello, world\n" * 5, b"second\n" * 9, bytes(range(256))
PACK_NAME = "0192f0c1-0000-7000-8000-000000000001/00112233445566778899aabbccddeeff"


def pack() -> bytes:
    """One compressed segment of two chunks, one raw segment of one."""
    builder, compressor = PackBuilder(), Compressor()
    first = close(memoryview(HELLO + SECOND), compressor)
    builder.add(first, [(digest.short(HELLO), len(HELLO)), (digest.short(SECOND), len(SECOND))])
    builder.add(close(memoryview(NOISE), compressor), [(digest.short(NOISE), len(NOISE))])
    return b"".join(builder.finish())


def tree() -> Tree:
    """A directory with two files, a hard link, a symbolic link and a sparse file."""
    data = pack()
    builder = PackBuilder()
    compressor = Compressor()
    rows = [
        (0, *builder.add(close(memoryview(HELLO + SECOND), compressor), [])),
        (0, *builder.add(close(memoryview(NOISE), compressor), [])),
    ]
    names = [b"", b"again", b"hello", b"latin-\xe9", b"link", b"sparse"]
    column = np.array
    return dataclasses.replace(
        empty_tree(),
        names=names,
        parent=column([0] * 6),
        mode=column([0o40755, 0o100644, 0o100644, 0o100600, 0o120777, 0o100644]),
        uid=column([1000, 1000, 1000, 0, 1000, 1000]),
        gid=column([1000] * 6),
        mtime=column([1_700_000_000_000_000_000 + n * 1_000_000_007 for n in range(6)]),
        size=column([0, 65, 0, 256, 0, 5000]),
        ctime=column([0, 1_700_000_001_000_000_000, 0, 1_700_000_002_000_000_000, 0, 1_700_000_003_000_000_000]),
        inode=column([0, 11, 0, 13, 0, 15], np.uint64),
        extents=column([0, 1, 0, 1, 0, 2]),
        extent_segment=column([0, 1, 0xFFFF_FFFF, 0]),
        extent_offset=column([0, 0, 0, 65]),
        extent_length=column([65, 256, 4937, 63]),
        segments=np.array(rows, SEGMENT_ROW),
        packs=[PACK_NAME],
        pack_bytes=column([len(data)]),
        links={4: b"hello"},
        twins={2: 1},
        attributes={3: b"\x06user.a\x01\x00\x00\x00x"},
        skipped=[b"socket"],
        unstable=[b"log"],
    )


def manifest() -> bytes:
    """A manifest of that tree, without configuration (a sealed one differs each time)."""
    header = Header(
        snapshot_id="0192f0c1-0000-7000-8000-000000000001",
        tenant_id="acme",
        service_id="web",
        parent_id=None,
        taken_at=1_700_000_100_000,
        labels=("reason:golden",),
        include=("data",),
        root_digest=root_digest(tree(), None),
        files=5,
        logical_bytes=65 + 256 + 5000,
        pack_bytes=len(pack()),
    )
    return encode(Manifest(header, tree(), None))


if __name__ == "__main__":
    (FOLDER / "pack-v1.bin").write_bytes(pack())
    (FOLDER / "manifest-v1.bin").write_bytes(manifest())
