"""Format 1, pinned: what was once written must be read for ever, and is still written the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from storage.archive import published
from storage.archive.cache import Cache
from storage.archive.manifest import root_digest
from storage.objects.memory import MemoryStore
from storage.sealing import KeyRing
from tests.golden import make
from tests.unit.storage_archive.workshop import Workshop

KEY = "tenants/acme/services/web/snapshots/0192f0c1-0000-7000-8000-000000000001/manifest"
PACK_KEY = f"tenants/acme/packs/{make.PACK_NAME}"


def _pinned(name: str) -> bytes:
    return (make.FOLDER / name).read_bytes()


@pytest.fixture
def sealed_shop(tmp_path: Path) -> Workshop:
    store = MemoryStore()
    store.objects = {
        KEY: _pinned("manifest-v2.bin"),
        PACK_KEY: _pinned("pack-v2.bin"),
        "tenants/acme/key": _pinned("key-v1.bin"),
    }
    return Workshop(tmp_path, store=store, keyring=KeyRing.parse(make.RING))


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    store = MemoryStore()
    store.objects = {KEY: _pinned("manifest-v1.bin"), PACK_KEY: _pinned("pack-v1.bin")}
    return Workshop(tmp_path, store=store)


def test_the_pinned_snapshot_is_restored(shop: Workshop) -> None:
    summary = shop.archive.read(KEY)
    root = Path(shop.stage(summary).path)

    assert (root / "hello").read_bytes() == make.HELLO
    assert (root / "hello").stat().st_ino == (root / "again").stat().st_ino
    assert (root / "latin-\udce9").read_bytes() == make.NOISE
    assert (root / "sparse").read_bytes() == bytes(4937) + make.SECOND
    assert (root / "link").readlink() == Path("hello")
    assert (root / "sparse").stat().st_mtime_ns == 1_700_000_005_000_000_035
    assert (summary.skipped, summary.unstable, summary.labels) == (("socket",), ("log",), ("reason:golden",))


def test_the_pinned_sealed_snapshot_is_restored(sealed_shop: Workshop) -> None:
    summary = sealed_shop.archive.read(KEY)
    root = Path(sealed_shop.stage(summary).path)

    assert (root / "hello").read_bytes() == make.HELLO
    assert (root / "latin-\udce9").read_bytes() == make.NOISE
    assert summary.configuration == make.CONFIGURATION


def test_the_pinned_sealed_pack_tells_where_its_chunks_are_and_names_them_by_the_key(sealed_shop: Workshop) -> None:
    pack, key = _pinned("pack-v2.bin"), sealed_shop.keys.load("acme")
    cache = Cache(None, "acme", "web")
    index = published.Indexes(sealed_shop.store, "tenants/acme/packs/", cache, key).load(make.PACK_NAME, len(pack))

    assert index.chunk_length.tolist() == [65, 63, 256]
    assert index.segments["flags"].tolist() == [3, 2]
    assert index.chunk_id[0].tobytes().hex() == "22d3a5e6016268c61a5c72f6ba7111d3"


def test_the_pinned_pack_tells_where_its_chunks_are(shop: Workshop) -> None:
    pack = _pinned("pack-v1.bin")
    index = published.Indexes(shop.store, "tenants/acme/packs/", Cache(None, "acme", "web"), None).load(
        make.PACK_NAME, len(pack)
    )

    assert index.chunk_length.tolist() == [65, 63, 256]
    assert index.chunk_offset.tolist() == [0, 65, 0]
    assert index.segments["flags"].tolist() == [1, 0]


def test_the_same_snapshot_is_written_as_the_same_plain_bytes(shop: Workshop) -> None:
    """Compressed bytes may differ with the version of zstd; what they hold may not."""
    found = published.read_manifest(_pinned("manifest-v1.bin"), KEY, shop.keys)
    again = published.read_manifest(make.manifest(), KEY, shop.keys)

    assert again.header == found.header
    assert root_digest(found.tree, None) == root_digest(again.tree, None) == found.header.root_digest
    assert found.header.root_digest == "45c7bff915606b6df8f70e404207bb9669f646a0a4d3b14e3863795f4693f3c6"


def test_the_worked_example_in_the_documentation_is_the_pinned_pack() -> None:
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    shown = re.findall(r"^[0-9a-f]{8}: ((?:[0-9a-f]{4} ?)+)", page, re.MULTILINE)
    pack = _pinned("pack-v1.bin")

    assert shown
    for line in shown:
        assert bytes.fromhex(line.replace(" ", "")) in pack


def test_making_them_again_needs_nothing_but_the_program(tmp_path: Path) -> None:
    """The script beside the pinned files is not rotten."""
    found = subprocess.run(
        [sys.executable, "-c", "from tests.golden import make; print(len(make.manifest()))"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(found.stdout) > 500
