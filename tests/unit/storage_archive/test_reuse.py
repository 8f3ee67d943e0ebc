"""A restore fetches what changed: the rest is taken from the live tree, or from what an earlier attempt staged."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest

from domain.errors import Cancelled, LeaseLost, ShuttingDown, StoreUnavailable
from domain.restore import ManifestSummary, RestoreMode
from storage.archive import reuse
from storage.objects.memory import MemoryStore
from tests.dying import killed
from tests.unit.storage_archive.workshop import Workshop, describe, plant, row_of

MIB = 1 << 20


class CountingStore(MemoryStore):
    """Counts the bytes of packs that are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = 0

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        found = super().get(key, offset, length)
        if "/packs/" in key:
            self.read += len(found)
        return found


@pytest.fixture
def store() -> CountingStore:
    return CountingStore()


@pytest.fixture
def shop(tmp_path: Path, store: CountingStore) -> Workshop:
    return Workshop(tmp_path, store=store, encryption=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """100 files and a big one of incompressible bytes, about 30 MiB."""
    return fill(tmp_path / "app", 10)


def fill(made: Path, files: int) -> Path:
    for part in range(10):
        (made / f"{part}").mkdir(parents=True)
        for number in range(files):
            (made / f"{part}" / f"{number}").write_bytes(os.urandom((2 * MIB - number) // files))
    (made / "big").write_bytes(os.urandom(12 * MIB))
    return made


def inodes(root: Path) -> set[int]:
    return {path.lstat().st_ino for path in root.rglob("*")}


def put_back(path: Path, data: bytes, offset: int) -> None:
    """Change bytes so that neither size nor time tells."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


# ---------------------------------------------------------------- from the live tree
@pytest.mark.parametrize("encryption", [False, True], ids=["plain", "sealed"])
def test_of_a_thousand_files_only_what_changed_is_fetched(
    tmp_path: Path, store: CountingStore, encryption: bool
) -> None:
    """RS-17: a file that was changed with its size and its time put back is found all the same."""
    shop, tree = Workshop(tmp_path, store=store, encryption=encryption), fill(tmp_path / "app", 100)
    before = describe(tree)
    summary = shop.create(tree)
    put_back(tree / "3" / "50", b"damage", 7000)
    put_back(tree / "big", b"damage", 9 * MIB)
    live, store.read = describe(tree), 0

    staged = shop.stage(summary, target=tree)

    assert describe(Path(staged.path)) == before
    assert describe(tree) == live
    assert not inodes(Path(staged.path)) & inodes(tree)
    assert staged.fetched == store.read < 11 * MIB  # two segments of four, and the ends of the packs
    assert staged.reused > 20 * MIB
    assert shop.watch.bytes >= staged.reused


def test_of_an_unchanged_tree_only_the_indexes_are_fetched(shop: Workshop, store: CountingStore, tree: Path) -> None:
    summary = shop.create(tree)
    store.read = 0
    first = shop.stage(summary, target=tree, name="1")
    cached = shop.stage(summary, target=tree, name="2")
    assert describe(Path(first.path)) == describe(tree) == describe(Path(cached.path))
    assert first.fetched == store.read <= 4 * 256 * 1024
    assert (cached.fetched, cached.reused) == (0, summary.logical_bytes)


def test_nothing_is_asked_of_indexes_where_nothing_could_be_saved(shop: Workshop, tree: Path) -> None:
    summary = shop.create(tree)
    for number in range(0, 10, 2):
        for part in range(10):
            (tree / f"{part}" / f"{number}").write_bytes(b"short")
    (tree / "big").unlink()
    staged = shop.stage(summary, target=tree)
    assert (staged.reused, staged.kept) == (0, 0)


def test_awkward_trees_are_reused_as_they_are_restored(shop: Workshop, tmp_path: Path) -> None:
    """RS-05: holes, links, odd names, a file of mode 0000."""
    live = plant(tmp_path / "awkward")
    before = describe(live)
    summary = shop.create(live)
    (live / "text").write_bytes(b"other")
    (live / "big").chmod(0o600)
    staged = shop.stage(summary, target=live)
    assert describe(Path(staged.path)) == before
    assert staged.reused > 3 * MIB
    sparse = Path(staged.path) / "sparse"
    assert sparse.stat().st_blocks * 512 < MIB


def test_bytes_in_a_hole_of_the_snapshot_do_not_come_along(shop: Workshop, tree: Path) -> None:
    with (tree / "sparse").open("wb") as file:
        file.truncate(64 * MIB)
        file.seek(32 * MIB)
        file.write(os.urandom(4 * MIB))
    before = describe(tree)
    summary = shop.create(tree)
    put_back(tree / "sparse", b"not a hole", 5 * MIB)
    staged = shop.stage(summary, target=tree)
    assert describe(Path(staged.path)) == before
    assert staged.reused > 30 * MIB


@pytest.mark.parametrize("instead", ["link", "directory", "fifo", "link above", "gone", "longer", "shorter"])
def test_what_took_a_files_place_is_never_read_through(shop: Workshop, tree: Path, instead: str) -> None:
    before = describe(tree)
    summary = shop.create(tree)
    shutil.copytree(tree, tree.parent / "elsewhere", symlinks=True)
    victim = tree / "big"
    if instead == "link above":
        shutil.rmtree(tree / "5")
        (tree / "5").symlink_to(tree.parent / "elsewhere" / "5")
    elif instead == "longer":
        with victim.open("ab") as file:
            file.write(b"more")
    elif instead == "shorter":
        os.truncate(victim, 6 * MIB)
    else:
        victim.unlink()
        if instead == "link":
            victim.symlink_to(tree.parent / "elsewhere" / "big")
        elif instead == "directory":
            victim.mkdir()
        elif instead == "fifo":
            os.mkfifo(victim)
    staged = shop.stage(summary, target=tree)
    assert describe(Path(staged.path)) == before
    changed = {"link above": 2 * MIB, "longer": 0, "shorter": 6 * MIB}.get(instead, 12 * MIB)
    assert staged.fetched >= changed


def test_a_service_that_writes_while_it_is_read_changes_nothing(
    shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is what was hashed, however the live file changes in between."""
    before = describe(tree)
    summary = shop.create(tree)
    real = reuse._read

    def read(handle: int, data: memoryview, offset: int) -> bool:
        found = real(handle, data, offset)
        path = Path(os.readlink(f"/proc/self/fd/{handle}"))
        if tree in path.parents:
            put_back(path, b"written meanwhile", offset)
        return found

    monkeypatch.setattr(reuse, "_read", read)
    staged = shop.stage(summary, target=tree)
    assert describe(Path(staged.path)) == before
    assert staged.reused > 20 * MIB


def test_an_index_that_is_damaged_costs_a_download_and_nothing_else(
    shop: Workshop, store: CountingStore, tree: Path
) -> None:
    before = describe(tree)
    summary = shop.create(tree)
    for key in summary.packs:
        store.objects[key] = store.objects[key][:-60] + b"?" + store.objects[key][-59:]
    shutil.rmtree(shop.root / "cache", ignore_errors=True)
    staged = shop.stage(summary, target=tree)
    assert describe(Path(staged.path)) == before
    assert staged.reused == 0


def test_what_only_the_target_has_is_merged_with_what_is_reused(shop: Workshop, tree: Path) -> None:
    """RS-17"""
    summary = shop.create(tree)
    (tree / "only here").write_bytes(b"mine")
    put_back(tree / "big", b"damage", 3)
    staged = Path(shop.stage(summary, RestoreMode.MERGE, tree).path)
    assert (staged / "only here").read_bytes() == b"mine"
    assert (staged / "big").read_bytes()[:6] != b"damage"


# ---------------------------------------------------------------- from an earlier attempt
def killed_staging(shop: Workshop, summary: ManifestSummary, hit: int) -> None:
    killed("stage.after-segments", lambda: shop.stage(summary), hit)


def names(shop: Workshop) -> set[str]:
    return {path.name for path in (shop.root / "staging" / "1").iterdir()}


def test_killed_half_way_the_next_attempt_fetches_the_rest(shop: Workshop, store: CountingStore, tree: Path) -> None:
    """I15, CN-23: and killed twice, what both had staged is kept."""
    summary = shop.create(tree)
    killed_staging(shop, summary, 2)
    killed_staging(shop, summary, 1)
    store.read = 0
    staged = shop.stage(summary)
    assert describe(Path(staged.path)) == describe(tree)
    assert staged.inode == os.stat(staged.path).st_ino
    assert staged.kept > 8 * MIB
    assert staged.fetched == store.read < summary.logical_bytes - staged.kept + 6 * MIB
    assert names(shop) == {"tree", "tree.note"}


def test_killed_before_it_takes_up_what_was_staged_the_next_attempt_does(shop: Workshop, tree: Path) -> None:
    """I15"""
    summary = shop.create(tree)
    killed_staging(shop, summary, 2)
    killed("stage.before-take-up", lambda: shop.stage(summary))
    staged = shop.stage(summary)
    assert staged.kept > 0
    assert describe(Path(staged.path)) == describe(tree)
    assert names(shop) == {"tree", "tree.note"}


def test_half_written_files_are_found_and_mended(shop: Workshop, tree: Path) -> None:
    """I15: after a power failure a file may have its size and not its bytes."""
    summary = shop.create(tree)
    killed_staging(shop, summary, 3)
    left = shop.root / "staging" / "1" / "tree"
    spoilt = 0
    for path in sorted(path for path in left.rglob("*") if path.is_file() and path.stat().st_size):
        if path.name == "big" or path.name.endswith("7"):
            put_back(path, b"\0" * 9000, 5000)
            spoilt += 1
    assert spoilt
    (left / "not in the snapshot").write_bytes(b"x")
    staged = shop.stage(summary)
    assert describe(Path(staged.path)) == describe(tree)


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), ShuttingDown(), LeaseLost()])
def test_weather_and_a_stop_leave_what_is_staged(shop: Workshop, tree: Path, error: Exception) -> None:
    summary = shop.create(tree)

    def stop() -> None:
        if shop.watch.bytes > 12 * MIB:
            raise error

    shop.watch.bytes, shop.watch.stop = 0, stop
    with pytest.raises(type(error)):
        shop.stage(summary)
    shop.watch.stop = lambda: None
    staged = shop.stage(summary)
    assert staged.kept > 4 * MIB
    assert describe(Path(staged.path)) == describe(tree)


def test_what_else_fails_leaves_nothing_of_any_attempt(shop: Workshop, tree: Path) -> None:
    summary = shop.create(tree)
    killed_staging(shop, summary, 3)

    def stop() -> None:
        if shop.watch.bytes > 20 * MIB:
            raise Cancelled

    shop.watch.bytes, shop.watch.stop = 0, stop
    with pytest.raises(Cancelled):
        shop.stage(summary)
    assert names(shop) == set()


@pytest.mark.parametrize("other", ["snapshot", "operation"])
def test_what_another_snapshot_or_operation_staged_is_not_used(shop: Workshop, tree: Path, other: str) -> None:
    first = shop.create(tree)
    second = shop.create(tree, "s2", parent=row_of(first))
    killed_staging(shop, first, 3)
    staged = shop.stage(second) if other == "snapshot" else shop.stage(first, name="2")
    assert (staged.kept, staged.reused) == (0, 0)
    assert describe(Path(staged.path)) == describe(tree)


def test_the_old_live_tree_in_the_staging_place_is_not_taken_for_staged(shop: Workshop, tree: Path) -> None:
    """After a swap the old tree lies where the new one was staged."""
    summary = shop.create(tree)
    staged = Path(shop.stage(summary).path)
    staged.rename(shop.root / "live")
    shutil.copytree(tree, staged)
    assert shop.stage(summary).kept == 0


def test_a_tree_whose_builder_is_only_paused_is_left_to_it(shop: Workshop, tree: Path) -> None:
    """I7: its late writes must not reach what the next attempt hands over."""
    summary = shop.create(tree)
    killed_staging(shop, summary, 3)
    paused = os.open(shop.root / "staging" / "1" / "tree", os.O_RDONLY)
    try:
        fcntl.flock(paused, fcntl.LOCK_EX)
        staged = shop.stage(summary)
    finally:
        os.close(paused)
    assert staged.kept == 0
    assert describe(Path(staged.path)) == describe(tree)
    assert names(shop) == {"tree", "tree.note"}
