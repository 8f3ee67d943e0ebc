"""How the pinned objects beside this file were made: run it, and look at every byte that differs.

The formats are promises: a change of these files means that older snapshots may not be readable any more.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path

import numpy as np

from storage.archive import digest, envelope, published
from storage.archive.freeze import empty_tree
from storage.archive.manifest import Header, Manifest, Tree, encode, root_digest
from storage.archive.pack import SEGMENT_ROW, PackBuilder
from storage.archive.segment import Closer
from storage.archive.shipper import Row
from storage.archive.tenant_keys import TenantKeys
from storage.data_key import DataKey
from storage.objects.memory import MemoryStore
from storage.sealing import KeyRing

FOLDER = Path(__file__).parent
HELLO, SECOND, NOISE = b"hello, world\n" * 5, b"second\n" * 9, bytes(range(256))
#: The ring that wraps the pinned key; it opens nothing else anywhere.
RING = "golden:" + base64.b64encode(bytes(range(32))).decode("ascii")
CONFIGURATION = {"env": {"MODE": "golden"}}
PACK_NAME = "0192f0c1-0000-7000-8000-000000000001/00112233445566778899aabbccddeeff"


def _built(key: DataKey | None) -> tuple[bytes, list[Row]]:
    """One compressed segment of two chunks, one raw segment of one; and their rows."""
    builder, closer = PackBuilder(PACK_NAME, key), Closer(key)
    name = digest.namer(None if key is None else key.naming)
    first = closer.close(memoryview(HELLO + SECOND))
    rows = [
        (0, *builder.add(first, [(name(HELLO), len(HELLO)), (name(SECOND), len(SECOND))])),
        (0, *builder.add(closer.close(memoryview(NOISE)), [(name(NOISE), len(NOISE))])),
    ]
    return b"".join(builder.finish()), rows


def pack() -> bytes:
    """The plain pack."""
    return _built(None)[0]


def tree(key: DataKey | None = None) -> Tree:
    """A directory with two files, a hard link, a symbolic link and a sparse file."""
    data, rows = _built(key)
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


def _header(found: Tree, configuration: bytes | None) -> Header:
    return Header(
        snapshot_id="0192f0c1-0000-7000-8000-000000000001",
        tenant_id="acme",
        service_id="web",
        parent_id=None,
        taken_at=1_700_000_100_000,
        labels=("reason:golden",),
        include=("data",) if configuration is None else ("configuration", "data"),
        root_digest=root_digest(found, configuration),
        files=5,
        logical_bytes=65 + 256 + 5000,
        pack_bytes=int(found.pack_bytes[0]),
    )


def manifest() -> bytes:
    """A manifest of that tree, without configuration (a sealed one differs each time)."""
    return encode(Manifest(_header(tree(), None), tree(), None))


def sealed() -> dict[str, bytes]:
    """The same snapshot with a configuration, sealed: its key, pack and manifest. They differ each time."""
    store = MemoryStore()
    key = TenantKeys(store, KeyRing.parse(RING)).obtain("acme")
    data, rows = _built(key)
    found = dataclasses.replace(tree(key), segments=np.array(rows, SEGMENT_ROW), pack_bytes=np.array([len(data)]))
    plain = json.dumps(CONFIGURATION, sort_keys=True, separators=(",", ":")).encode("ascii")
    header = _header(found, key.fingerprint(plain))
    inner = encode(Manifest(header, found, bytes(key.seal(plain, published.aad_of("acme", "web", header.snapshot_id)))))
    return {
        "key-v1.bin": store.objects["tenants/acme/key"],
        "pack-v2.bin": data,
        "manifest-v2.bin": envelope.wrap(inner, header, key),
    }


if __name__ == "__main__":
    (FOLDER / "pack-v1.bin").write_bytes(pack())
    (FOLDER / "manifest-v1.bin").write_bytes(manifest())
    for file_name, content in sealed().items():
        (FOLDER / file_name).write_bytes(content)
