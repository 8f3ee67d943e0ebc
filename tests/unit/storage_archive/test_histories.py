"""Whole histories of one service: every state comes back as it was, whatever changed between them and what was
deleted since.

Apart from the single round trips because here each snapshot is built on the one before.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from domain.outcome import AddSnapshot, MarkDeleting
from domain.restore import ManifestSummary
from storage.archive import chunker
from storage.archive.layout import CHUNK_AVERAGE, SEGMENT_TARGET, WHOLE_FILE
from storage.objects.memory import MemoryStore
from tests.contract.sql_bench import Bench
from tests.unit.storage_archive.workshop import Workshop, describe, row_of

MIB = 1 << 20


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    return made


class History:
    """Snapshots of one tree, each on the one before, and what each must bring back."""

    def __init__(self, shop: Workshop, tree: Path) -> None:
        self.shop, self.tree = shop, tree
        self.states: list[tuple[ManifestSummary, dict[bytes, tuple[object, ...]]]] = []

    def take(self, name: str = "") -> ManifestSummary:
        self.shop.now_ms = time.time_ns() // 1_000_000  # edits here follow each other within one tick of the clock
        parent = row_of(self.states[-1][0]) if self.states else None
        made = self.shop.create(self.tree, name or f"s{len(self.states)}", parent=parent)
        self.states.append((made, describe(self.tree)))
        return made

    def check(self) -> None:
        for made, before in self.states:
            staged = self.shop.stage(made, name=f"check-{made.snapshot_id}")
            assert describe(Path(staged.path)) == before, made.snapshot_id


def test_each_state_of_a_tree_comes_back_by_itself(shop: Workshop, tree: Path) -> None:
    """FZ-01, FZ-02: added, changed, removed, renamed, other modes, a file that becomes a directory, a directory that
    becomes a link. Compared by content, owners, modes and times, never by names alone."""
    history = History(shop, tree)
    for name in ("kept", "changed", "removed", "renamed", "mode", "becomes-directory", "folder/inside"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(name.encode() * 1000)
    history.take()
    (tree / "added").write_bytes(b"new")
    (tree / "changed").write_bytes(b"changed" * 900)
    (tree / "removed").unlink()
    history.take()
    (tree / "renamed").rename(tree / "folder" / "elsewhere")
    (tree / "mode").chmod(0o600)
    (tree / "becomes-directory").unlink()
    (tree / "becomes-directory").mkdir()
    (tree / "becomes-directory" / "file").write_bytes(b"x")
    history.take()
    (tree / "folder").rename(tree / "moved")
    (tree / "folder").symlink_to("moved")
    history.take()

    history.check()
    assert len({made.root_digest for made, _ in history.states}) == 4


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "same": lambda data: data,
    "change-a-block": lambda data: data[: 1 << 20] + bytes(4096) + data[(1 << 20) + 4096 :],
    "insert-one-byte-at-the-start": lambda data: b"!" + data,
    "insert-a-block": lambda data: data[:777_777] + random.Random(5).randbytes(4096) + data[777_777:],
    "swap-two-blocks": lambda data: data[MIB : 2 * MIB] + data[:MIB] + data[2 * MIB :],
    "append": lambda data: data + b"the end",
    "cut": lambda data: data[: 2 * MIB + 1],
    "cut-to-nothing": lambda data: b"",
}


@pytest.mark.parametrize("edit", list(EDITS))
def test_any_edit_of_a_big_file_is_exact_and_stores_what_is_new(shop: Workshop, tree: Path, edit: str) -> None:
    """FZ-20, CN-11: nothing new, no segment; a little, little; and both states come back."""
    history = History(shop, tree)
    data = random.Random(1).randbytes(3 * MIB + 12_345)
    (tree / "database").write_bytes(data)
    first = history.take()
    (tree / "database").write_bytes(EDITS[edit](data))
    second = history.take()

    history.check()
    assert second.stored_bytes < 16 * CHUNK_AVERAGE + 10_000
    if edit in ("same", "cut-to-nothing"):
        assert set(second.packs) <= set(first.packs)


def test_a_file_that_grows_by_a_hole_is_exact(shop: Workshop, tree: Path) -> None:
    """FZ-20."""
    history = History(shop, tree)
    (tree / "image").write_bytes(os.urandom(MIB))
    history.take()
    os.truncate(tree / "image", 300 * MIB)
    assert history.take().stored_bytes < 10_000
    with (tree / "image").open("r+b") as file:
        file.seek(200 * MIB)
        file.write(b"island")
    history.take()
    history.check()


def test_sizes_around_every_boundary_are_exact(shop: Workshop, tree: Path) -> None:
    """FZ-21, CN-10: bytes that do not compress, so that every stored size is the size; none takes more room than it
    has, because what does not get smaller is stored as it is."""
    source, total = random.Random(2), 0
    for boundary in (4096, CHUNK_AVERAGE // 4, CHUNK_AVERAGE, chunker.LARGEST, WHOLE_FILE, SEGMENT_TARGET):
        for size in (boundary - 1, boundary, boundary + 1):
            (tree / str(size)).write_bytes(source.randbytes(size))
            total += size
    history = History(shop, tree)
    made = history.take()
    history.check()
    assert total < made.stored_bytes < total + total // 500 + 20_000


def test_a_history_outlives_another_size_of_blocks(shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FZ-23, CN-10: whoever reads, reads what is written, never what is set today."""
    history = History(shop, tree)
    data = random.Random(3).randbytes(3 * MIB)
    (tree / "database").write_bytes(data)
    history.take()
    monkeypatch.setattr(chunker, "CHUNK_AVERAGE", CHUNK_AVERAGE // 4)
    monkeypatch.setattr(chunker, "LARGEST", CHUNK_AVERAGE)
    (tree / "database").write_bytes(data[:MIB] + b"between" + data[MIB:])
    smaller = history.take()
    monkeypatch.undo()
    (tree / "database").write_bytes(data)
    history.take()
    history.check()
    assert smaller.stored_bytes > MIB  # other cuts: the setting did change something


HOSTILE = ('"; touch INJECTED; "', "$(touch INJECTED)", "`touch INJECTED`", "two\nlines", "--checkpoint-action=exec")


def test_names_and_patterns_are_data_and_never_commands(
    shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """FZ-25."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    for name in HOSTILE:
        (tree / name).write_bytes(b"content")
    everything = describe(tree)

    assert describe(Path(shop.stage(shop.create(tree), name="all").path)) == everything
    for number, name in enumerate(HOSTILE):
        left = shop.stage(shop.create(tree, f"without-{number}", exclude=(name,)), name=f"without-{number}")
        gone = set(everything) - set(describe(Path(left.path)))
        assert gone == {os.fsencode(name)}
    assert not list(here.iterdir()) and set(describe(tree)) == set(everything)


def test_a_file_that_shrinks_while_it_is_read_is_flagged_and_harms_no_other(
    shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FZ-22."""
    for number in range(30):
        (tree / f"file-{number:02}").write_bytes(os.urandom(50_000 + number))
    real, size = os.preadv, [49_000]

    def shrinking(handle: int, buffers: Any, offset: int) -> int:
        if os.readlink(f"/proc/self/fd/{handle}") == str(tree / "file-07"):
            size[0] -= 1000
            os.truncate(tree / "file-07", size[0])
        return real(handle, buffers, offset)

    monkeypatch.setattr(os, "preadv", shrinking)
    made = shop.create(tree)
    monkeypatch.undo()

    assert made.unstable == ("file-07",)
    restored, before = describe(Path(shop.stage(made).path)), describe(tree)
    del restored[b"file-07"], before[b"file-07"]
    assert restored == before


# ---------------------------------------------------------------- any tree, any edits, any deletions
PLACES = ("a", "b", "c", "d/a", "d/b", "d/e/a")
DATA = st.one_of(
    st.binary(max_size=200),
    st.tuples(st.integers(0, 5), st.integers(1, 1_300_000)).map(lambda pair: random.Random(pair[0]).randbytes(pair[1])),
)
EDIT = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(PLACES), DATA),
    st.tuples(st.just("insert"), st.sampled_from(PLACES), st.tuples(st.integers(0, MIB), st.binary(max_size=100))),
    st.tuples(st.just("cut"), st.sampled_from(PLACES), st.integers(0, 2 * MIB)),
    st.tuples(st.just("rename"), st.sampled_from(PLACES), st.sampled_from(PLACES)),
    st.tuples(st.just("mode"), st.sampled_from(PLACES), st.sampled_from([0o600, 0o640, 0o755])),
    st.tuples(st.just("time"), st.sampled_from(PLACES), st.integers(0, 1 << 60)),
    st.tuples(st.just("link"), st.sampled_from(PLACES), st.sampled_from(PLACES)),
    st.tuples(st.just("symlink"), st.sampled_from(PLACES), st.sampled_from(PLACES)),
    st.tuples(st.just("remove"), st.sampled_from(PLACES), st.none()),
)


def _edit(root: Path, what: str, place: str, more: Any) -> None:
    """One change; whatever cannot be done to what is there is none."""
    path = root / place
    path.parent.mkdir(parents=True, exist_ok=True)
    regular = path.is_file() and not path.is_symlink()
    if what == "write":
        path.unlink(missing_ok=True)
        path.write_bytes(more)
    elif what == "remove":
        path.unlink(missing_ok=True)
    elif what == "symlink":
        path.unlink(missing_ok=True)
        path.symlink_to(more)
    elif not regular:
        return
    elif what == "insert":
        data = path.read_bytes()
        path.write_bytes(data[: more[0]] + more[1] + data[more[0] :])
    elif what == "cut":
        os.truncate(path, more)
    elif what == "mode":
        path.chmod(more)
    elif what == "time":
        os.utime(path, ns=(more, more))
    elif what in ("rename", "link") and more != place:
        other = root / more
        other.parent.mkdir(parents=True, exist_ok=True)
        other.unlink(missing_ok=True)
        (path.rename if what == "rename" else other.hardlink_to)(other if what == "rename" else path)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with Bench.opened(f"sqlite:///{tmp_path_factory.mktemp('histories')}/backstay.db") as made:
        yield made


_examples = iter(range(1_000_000))


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(
    encryption=st.booleans(),
    edits=st.lists(st.lists(EDIT, max_size=5), min_size=2, max_size=5),
    kept=st.sets(st.integers(0, 4), min_size=1),
)
def test_whatever_was_edited_and_whichever_were_deleted_every_other_state_comes_back(
    bench: Bench, encryption: bool, edits: list[list[tuple[str, str, Any]]], kept: set[int]
) -> None:
    """FZ-02, FZ-10, CN-17, I14: for any tree and any sequence of edits, snapshot then restore is the identity, also
    after the others were deleted and collected; and then nothing is left that nobody needs. The real catalogue."""
    service = f"web-{next(_examples)}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shop = Workshop(root, encryption=encryption, service=service, cache=False)
        (root / "app").mkdir()
        history = History(shop, root / "app")
        for number, changes in enumerate(edits):
            for change in changes:
                _edit(history.tree, *change)
            bench.make(AddSnapshot(row_of(history.take(f"{service}-s{number}"))))
        for number, (made, _) in enumerate(history.states):
            if number not in kept:
                bench.make(MarkDeleting(made.snapshot_id))
        history.states = [state for number, state in enumerate(history.states) if number in kept]

        bench.now += 60 * 60_000
        while rows := bench.database.catalogue.garbage(100):
            gone = shop.archive.collect(rows, bench.database.catalogue.live_packs)
            assert gone
            bench.database.catalogue.forget_garbage(gone)

        history.check()
        assert isinstance(shop.store, MemoryStore)
        needed = {key for made, _ in history.states for key in (made.manifest_key, *made.packs)}
        assert {key for key in shop.objects if "/packs/" in key or key.endswith("/manifest")} == needed
