"""Data that is no directory, in the archive: any bytes of either kind come back, and a manifest cannot lie about it."""

from __future__ import annotations

import dataclasses
import io
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from domain.contracts import Fill, SnapshotRequest, Watch
from domain.errors import Damaged, Refused
from domain.restore import ManifestSummary, RestoreMode, Selection
from domain.source import SourceKind
from storage.archive import manifest, published
from storage.archive.layout import SOURCES, VOLUME_BLOCK
from storage.archive.manifest import Manifest
from tests.unit.storage_archive.workshop import Workshop

BLOCK = VOLUME_BLOCK


class Bytes:
    """A source that is in memory."""

    def __init__(self, name: str, kind: SourceKind, data: bytes) -> None:
        self.name, self.kind, self.data = name, kind, data

    @contextmanager
    def save(self, watch: Watch) -> Iterator[Fill]:
        file = io.BytesIO(self.data)
        yield lambda view: file.readinto(view)

    def prepare(self, size: int) -> None: ...

    def restore(self, path: str, watch: Watch) -> None: ...


def store(shop: Workshop, name: str, *sources: Bytes, directory: Path | None = None) -> ManifestSummary:
    request = SnapshotRequest(
        name, "acme", "web", None if directory is None else str(directory), None, exclude=(".*",), sources=sources
    )
    return shop.archive.create(request, shop.watch)


def stage(shop: Workshop, summary: ManifestSummary, place: Path, *names: str) -> Path:
    selection = Selection(sources=names) if names else Selection()
    shop.archive.stage(summary.manifest_key, "", str(place), RestoreMode.REPLACE, shop.watch, selection)
    return place / SOURCES.decode()


#: Runs of zeros and of bytes, about the size of a block: edges are where mistakes are.
RUN = st.tuples(st.booleans(), st.sampled_from([1, 7, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]), st.integers(0, 255))


@settings(max_examples=25)
@given(st.lists(RUN, max_size=8), st.sampled_from(SourceKind))
def test_any_bytes_come_back(runs: list[tuple[bool, int, int]], kind: SourceKind) -> None:
    data = b"".join(bytes(length) if zero else random.Random(seed).randbytes(length) for zero, length, seed in runs)
    with tempfile.TemporaryDirectory() as home:
        shop = Workshop(Path(home))
        saved = store(shop, "s1", Bytes("one", kind, data))
        assert (saved.include, saved.sources[0].bytes) == (("sources",), len(data))
        assert (stage(shop, saved, Path(home) / "out", "one") / "one").read_bytes() == data


def test_sources_stand_beside_the_directory_whatever_the_directory_leaves_out(tmp_path: Path) -> None:
    """A pattern that leaves out every hidden name leaves out no source, and none comes into the live directory."""
    shop, app = Workshop(tmp_path), tmp_path / "app"
    (app / ".hidden").mkdir(parents=True)
    (app / "kept").write_text("kept")
    (app / SOURCES.decode()).mkdir()
    (app / SOURCES.decode() / "one").write_text("somebody's own, of a reserved name")
    saved = store(shop, "s1", Bytes("one", SourceKind.COMMAND, b"dump"), directory=app)
    assert (stage(shop, saved, tmp_path / "sources", "one") / "one").read_bytes() == b"dump"
    stage(shop, saved, tmp_path / "tree")
    assert [path.name for path in (tmp_path / "tree").iterdir()] == ["kept"]


def test_a_source_that_a_snapshot_does_not_have_is_refused(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    saved = store(shop, "s1", Bytes("one", SourceKind.COMMAND, b"dump"))
    with pytest.raises(Refused, match="holds no source two"):
        stage(shop, saved, tmp_path / "out", "two")
    with pytest.raises(Refused, match="holds no data"):
        stage(shop, saved, tmp_path / "out")


@pytest.mark.parametrize("sources", [{}, {"one": "command", "two": "volume"}, {"two": "command"}, {"kept": "command"}])
def test_a_manifest_whose_header_and_table_differ_about_sources_is_refused(
    tmp_path: Path, sources: dict[str, str]
) -> None:
    shop = Workshop(tmp_path)
    saved = store(shop, "s1", Bytes("one", SourceKind.COMMAND, b"dump"))
    found = published.read_manifest(shop.store.get(saved.manifest_key), saved.manifest_key, shop.keys)
    forged = manifest.encode(Manifest(dataclasses.replace(found.header, sources=sources), found.tree, None))
    shop.store.put(saved.manifest_key, [forged])
    with pytest.raises(Damaged, match="differ about its sources"):
        shop.archive.read(saved.manifest_key)


def test_a_reader_that_knows_no_sources_meets_a_number_that_it_does_not_know(tmp_path: Path) -> None:
    """It would restore them into the live directory."""
    shop = Workshop(tmp_path)
    saved = store(shop, "s1", Bytes("one", SourceKind.COMMAND, b"dump"))
    assert b'"format":3' in shop.store.get(saved.manifest_key)
    (tmp_path / "app").mkdir()
    assert b'"format":1' in shop.store.get(store(shop, "s2", directory=tmp_path / "app").manifest_key)
