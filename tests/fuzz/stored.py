"""Readers of stored objects: tables, manifests, indexes of packs, segments, envelopes, sealed values, keys, records.

Apart from the property tests, which know what an object looks like: this begins with bytes and finds its way by the
branches that they reach. Anything but Damaged and Refused is a finding. Bytes are given to each reader as its
object, with digests made right, as damage that a digest finds teaches nothing.
"""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import numpy as np

from domain.errors import Damaged, Refused
from domain.record import SnapshotRecord
from storage.archive import attributes, digest, envelope, layout, manifest, pack, records, segment
from storage.archive.check import tree_from
from storage.archive.compression import compress_table, decompress_table
from storage.archive.layout import ENVELOPE_MAGIC, MANIFEST_MAGIC, PACK_MAGIC
from storage.archive.tenant_keys import TenantKeys
from storage.objects.memory import MemoryStore
from storage.sealing import KeyRing
from tests.fuzz.target import Target, spread

_RING = KeyRing({"k1": bytes(32)})
GOLDEN = Path(__file__).parents[1] / "golden"
_STORE = MemoryStore()


def _table(data: bytes) -> None:
    tree_from(data)


def _manifest(data: bytes) -> None:
    body = MANIFEST_MAGIC + data
    tree_from(manifest.decode(body + digest.full(body))[1])


def _index(data: bytes) -> None:
    stored = compress_table(data)
    tail = stored + struct.pack("<II32s8s", len(stored), len(data), digest.full(stored), PACK_MAGIC)
    pack.read_index(tail, len(tail) + 5000, "s1/x", None)


def _segment(data: bytes) -> None:
    row = np.zeros(1, pack.SEGMENT_ROW)[0]
    row["plain"], row["flags"] = len(data), segment.ZSTD
    segment.Opener(None).open(memoryview(data), row)


def _envelope(data: bytes) -> None:
    body = ENVELOPE_MAGIC + data
    envelope.unwrap(body + digest.full(body), TenantKeys(MemoryStore(), _RING))


def _sealed(data: bytes) -> None:
    _RING.unseal(data, b"")


def _attributes(data: bytes) -> None:
    attributes.parse(data)


def _record(data: bytes) -> None:
    records.read(_STORE, _RING, data.decode("utf-8", "replace"))


def _seal_of_key(data: bytes) -> None:
    store = MemoryStore()
    store.put("tenants/acme/key", [layout.KEY_MAGIC + data])
    TenantKeys(store, _RING).load("acme")


_READERS = (_table, _manifest, _index, _segment, _envelope, _sealed, _attributes, _record, _seal_of_key)


def _one(data: bytes) -> None:
    try:
        spread(*_READERS)(data)
    except (Damaged, Refused):
        return


def _seeds() -> list[bytes]:
    """The pinned objects, as their readers would get them."""
    plain, packed = (GOLDEN / "manifest-v1.bin").read_bytes(), (GOLDEN / "pack-v1.bin").read_bytes()
    index = packed[-pack.index_bytes(packed, len(packed)) : -pack.FOOTER_BYTES]
    table = decompress_table(index, int.from_bytes(packed[-44:-40], "little"))
    record = SnapshotRecord("0" * 32, "acme", "web", "s1", layout.manifest_key("acme", "web", "s1"), 9, "00", "00", 1)
    made = (
        manifest.decode(plain)[1], plain[8:-32], table, packed[8:44],
        (GOLDEN / "manifest-v2.bin").read_bytes()[8:-32], _RING.seal(b"x", b""), b"\x06user.a\x01\0\0\0x",
        records.sign(dataclasses.asdict(record), _RING).encode(), (GOLDEN / "key-v1.bin").read_bytes()[8:],
    )  # fmt: skip
    return [bytes([number]) + seed for number, seed in enumerate(made)]


TARGET = Target("stored", _one, _seeds)
