"""Coverage-guided fuzzing of the readers of stored objects, for whoever has `atheris`: not part of the suite.

    pip install atheris && python tests/fuzz/readers.py -max_total_time=30

Apart from the property tests, which know what an object looks like: this begins with bytes and finds its way by the
branches that they reach. Anything but Damaged and Refused is a finding. Bytes are given to each reader as its
object, with digests made right, as damage that a digest finds teaches nothing.
"""

from __future__ import annotations

import importlib
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from domain.errors import Damaged, Refused
from storage.archive import digest, envelope, manifest, pack, segment
from storage.archive.check import tree_from
from storage.archive.compression import compress_table, decompress_table
from storage.archive.layout import ENVELOPE_MAGIC, MANIFEST_MAGIC, PACK_MAGIC
from storage.archive.tenant_keys import TenantKeys
from storage.objects.memory import MemoryStore
from storage.sealing import KeyRing

_RING = KeyRing({"k1": bytes(32)})


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


_READERS = (_table, _manifest, _index, _segment, _envelope, _sealed)


def one(data: bytes) -> None:
    """Give the bytes to the reader that the first of them chooses."""
    if not data:
        return
    try:
        _READERS[data[0] % len(_READERS)](data[1:])
    except (Damaged, Refused):
        return


def _seeds(folder: Path) -> None:
    """The pinned objects, as their readers would get them."""
    golden = Path(__file__).parents[1] / "golden"
    plain, packed = (golden / "manifest-v1.bin").read_bytes(), (golden / "pack-v1.bin").read_bytes()
    index = packed[-pack.index_bytes(packed, len(packed)) : -pack.FOOTER_BYTES]
    table = decompress_table(index, int.from_bytes(packed[-44:-40], "little"))
    seeds = (
        manifest.decode(plain)[1], plain[8:-32], table, packed[8:44],
        (golden / "manifest-v2.bin").read_bytes()[8:-32], _RING.seal(b"x", b""),
    )  # fmt: skip
    for number, seed in enumerate(seeds):
        (folder / str(number)).write_bytes(bytes([number]) + seed)


if __name__ == "__main__":
    atheris = importlib.import_module("atheris")
    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as made:
        _seeds(Path(made))
        atheris.Setup([*sys.argv, made], one)
        atheris.Fuzz()
