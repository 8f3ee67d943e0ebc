"""Trees and volumes at the edge of what a reader takes: what a writer publishes can be read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.errors import Damaged
from domain.verification import VerifyLevel
from storage.archive import columns, layout, published
from storage.archive.cache import Cache
from storage.archive.compression import compress_table, decompress_table
from storage.archive.layout import TABLE_ALWAYS, TABLE_RATIO
from storage.archive.pack import PackBuilder
from tests.unit.storage_archive.workshop import Workshop, describe


@pytest.mark.parametrize("rows", [TABLE_ALWAYS // 4, TABLE_ALWAYS // 2])
def test_a_table_that_says_the_same_over_and_over_is_read_again(rows: int) -> None:
    """That of a volume of equal blocks: 914 bytes stood for 18 MB, and were refused as hostile."""
    block = columns.encode({"length": np.full(rows, 1 << 15, "<u4")})
    assert len(block) >= TABLE_ALWAYS

    stored = compress_table(block)

    assert decompress_table(stored, len(block)) == block
    assert len(stored) < 2 * len(block) // TABLE_RATIO


def test_packs_of_tiny_files_are_closed_before_their_index_is_too_big(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "SEGMENT_CHUNKS", 5)
    monkeypatch.setattr(layout, "PACK_CHUNKS", 20)
    tree = tmp_path / "app"
    tree.mkdir()
    for number in range(100):
        (tree / str(number)).write_bytes(b"%d" % number)
    shop = Workshop(tmp_path)

    made = shop.create(tree)

    opened = published.read_manifest(shop.objects[made.manifest_key], made.manifest_key, shop.keys)
    indexes = published.Indexes(shop.store, layout.pack_root("acme"), Cache(None, "", ""), None)
    chunks = [
        len(indexes.load(name, size).chunk_id)
        for name, size in zip(opened.tree.packs, opened.tree.pack_bytes.tolist(), strict=True)
    ]
    assert sum(chunks) == 100
    assert max(chunks) == 20
    assert shop.archive.verify(made.manifest_key, VerifyLevel.HASH, shop.watch).sound
    assert describe(Path(shop.stage(made).path)) == describe(tree)


def test_the_index_of_the_fullest_pack_is_within_what_a_reader_takes() -> None:
    """One chunk short of full, and the fullest segment on top: each chunk has 20 bytes and each segment 33, of which
    16 MiB hold 50 000 at most, as no compressor makes 4 MiB smaller than 400 bytes."""
    assert (layout.PACK_CHUNKS - 1 + layout.SEGMENT_CHUNKS) * 20 + 50_000 * 33 < layout.INDEX_LIMIT
    assert not PackBuilder(chunk_count=layout.PACK_CHUNKS - 1).full
    assert PackBuilder(chunk_count=layout.PACK_CHUNKS).full


def test_what_could_not_be_read_again_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "app"
    tree.mkdir()
    (tree / "file").write_bytes(b"content")
    shop = Workshop(tmp_path)

    def refuse(*_: Any) -> Any:
        raise Damaged("no reader takes that")

    monkeypatch.setattr(published, "read_manifest", refuse)
    with pytest.raises(Damaged, match="no reader takes that"):
        shop.create(tree)

    assert not [key for key in shop.objects if key.endswith("/manifest")]
