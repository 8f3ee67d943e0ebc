"""Segments in an order of use: the right bytes whatever was kept or guessed, never too many, and failures told."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.errors import ObjectMissing
from storage.archive import ahead, published
from storage.archive.ahead import AHEAD, Segments
from storage.archive.published import Opened
from storage.objects.memory import MemoryStore
from tests.unit.storage_archive.workshop import Workshop


class Counting(MemoryStore):
    """Counts what is fetched of packs."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched = 0
        self._counting = threading.Lock()

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        with self._counting:
            self.fetched += "/packs/" in key
        return super().get(key, offset, length)


@pytest.fixture
def store() -> Counting:
    return Counting()


@pytest.fixture
def opened(tmp_path: Path, store: Counting) -> Opened:
    """A snapshot of a dozen segments."""
    workshop, tree = Workshop(tmp_path, store, encryption=True), tmp_path / "live"
    tree.mkdir()
    (tree / "big").write_bytes(os.urandom(30_000_000))
    summary = workshop.create(tree)
    blob = published.fetch_manifest(store, summary.manifest_key)
    found = published.read_manifest(blob, summary.manifest_key, workshop.keys)
    assert len(found.tree.segments) > AHEAD + 1
    store.fetched = 0
    return found


@pytest.mark.parametrize("guess", [[0, 1, 0, 2, 1, 0], [], [2, 2, 2, 1]])
def test_every_segment_is_the_one_asked_for_whatever_was_guessed(
    store: Counting, opened: Opened, guess: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Segments(store, opened, iter([])) as segments:
        plain = [bytes(segments.plain(number)) for number in range(3)]
    monkeypatch.setattr(ahead, "_KEPT_BYTES", 1)  # nothing but the latest
    with Segments(store, opened, iter(guess)) as segments:
        assert [segments.plain(number) == plain[number] for number in (0, 1, 0, 2, 1, 0)] == [True] * 6


def test_no_more_is_fetched_than_a_few_ahead_and_each_once(store: Counting, opened: Opened) -> None:
    count, asked = len(opened.tree.segments), 0

    def wanted() -> Iterator[int]:
        nonlocal asked
        for number in range(count):
            asked += 1
            yield number

    with Segments(store, opened, wanted()) as segments:
        segments.plain(0)
        assert asked <= AHEAD + 1
        for number in range(count):
            segments.plain(number)
    assert store.fetched == count


def test_a_segment_that_is_gone_is_told_where_it_is_needed(store: Counting, opened: Opened) -> None:
    store.delete([info.key for info in store.list("tenants/") if "/packs/" in info.key])
    with Segments(store, opened, iter(range(3))) as segments, pytest.raises(ObjectMissing):
        segments.plain(0)
