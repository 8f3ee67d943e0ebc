"""Snapshots and restores that go wrong: nothing published, nothing live touched, no thread left."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from domain.contracts import Garbage
from domain.errors import Cancelled, Damaged, LeaseLost, ObjectMissing, Refused, StoreUnavailable
from domain.restore import RestoreMode
from storage.archive import room, syscalls
from storage.archive.beneath import READ_FILE
from storage.objects.memory import MemoryStore
from tests.unit.storage_archive.workshop import Workshop, describe, row_of

MIB = 1 << 20
#: Whoever waits for a thread that has failed hangs.


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    for number in range(40):
        (made / f"small-{number}").write_bytes(os.urandom(1000 + number))
    (made / "big").write_bytes(os.urandom(6 * MIB))
    (made / "repetitive").write_bytes(b"over and over " * 300_000)
    return made


def _fail_on(call: str, part: str, error: BaseException) -> Callable[[str, str], None]:
    def fault(name: str, key: str) -> None:
        if name == call and part in key:
            raise error

    return fault


# ---------------------------------------------------------------- creating
@pytest.mark.parametrize(
    ("call", "part"), [("put", "/packs/"), ("size", "/packs/"), ("create", "/manifest"), ("size", "/manifest")]
)
def test_a_store_that_fails_leaves_nothing_published(shop: Workshop, tree: Path, call: str, part: str) -> None:
    """FZ-03, RS-13"""
    assert isinstance(shop.store, MemoryStore)
    shop.store.fault = _fail_on(call, part, StoreUnavailable("no answer"))

    with pytest.raises(StoreUnavailable, match="no answer"):
        shop.create(tree)

    assert not [key for key in shop.objects if key.endswith("/manifest")]
    shop.store.fault = _fail_on("", "-", StoreUnavailable())
    assert describe(Path(shop.stage(shop.create(tree)).path)) == describe(tree)


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), ValueError("a bug")])
def test_whatever_ends_an_upload_ends_the_snapshot(shop: Workshop, tree: Path, error: BaseException) -> None:
    """FZ-06, FZ-07"""
    assert isinstance(shop.store, MemoryStore)
    shop.store.fault = _fail_on("put", "/packs/", error)

    with pytest.raises((RuntimeError, ValueError)):
        shop.create(tree)

    assert shop.objects == {}


def test_a_file_that_cannot_be_read_to_its_end_by_a_bug_fails_the_snapshot(
    shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FZ-05"""

    def broken(*_: object) -> int:
        raise ZeroDivisionError("mid-way")

    monkeypatch.setattr(os, "preadv", broken)
    with pytest.raises(ZeroDivisionError, match="mid-way"):
        shop.create(tree)

    assert shop.objects == {}


@pytest.mark.parametrize("error", [Cancelled("stop"), LeaseLost()])
@pytest.mark.parametrize("after", [1, 5, 30, 60])
def test_a_watch_that_says_stop_ends_the_snapshot(shop: Workshop, tree: Path, error: BaseException, after: int) -> None:
    count = 0

    def stop() -> None:
        nonlocal count
        count += 1
        if count >= after:
            raise error

    shop.watch.stop = stop
    try:
        shop.create(tree)
    except type(error):
        assert not [key for key in shop.objects if key.endswith("/manifest")]
    else:
        assert count < after


def test_a_cancel_is_noticed_while_the_store_hangs(shop: Workshop, tree: Path) -> None:
    """F-31"""
    assert isinstance(shop.store, MemoryStore)
    hanging, let_go, answered = threading.Event(), threading.Event(), list[bool]()

    def hang(call: str, key: str) -> None:
        if call == "put":
            hanging.set()
            answered.append(let_go.wait(30))

    def stop() -> None:
        if hanging.is_set():
            let_go.set()  # the store's own deadline
            raise Cancelled

    shop.store.fault, shop.watch.stop = hang, stop
    with pytest.raises(Cancelled):
        shop.create(tree)

    assert answered and all(answered), "the cancel came when the store had given up by itself"


def test_a_published_snapshot_is_adopted_and_nothing_is_read_again(shop: Workshop, tree: Path) -> None:
    first = shop.create(tree)
    shop.opened.clear()
    (tree / "later").write_bytes(b"x")

    assert shop.create(tree) == first
    assert shop.opened == []


def test_who_loses_the_race_to_publish_adopts_the_winners_snapshot(shop: Workshop, tree: Path) -> None:
    assert isinstance(shop.store, MemoryStore)
    rival = Workshop(shop.root / "rival", store=shop.store)
    won: list[Any] = []

    def publish_first(call: str, key: str) -> None:
        if call == "create" and not won:
            won.append(None)
            won.append(rival.create(tree))

    shop.store.fault = publish_first
    assert shop.create(tree) == won[1]


def test_a_manifest_that_reads_back_wrong_is_damage(shop: Workshop, tree: Path) -> None:
    assert isinstance(shop.store, MemoryStore)

    def flip(call: str, key: str) -> None:
        if call == "get":
            shop.objects[key] = shop.objects[key][:-1] + b"?"

    shop.store.fault = flip
    with pytest.raises(Damaged, match="reads back"):
        shop.create(tree)


def test_a_file_that_keeps_changing_is_listed_and_the_rest_is_sound(tmp_path: Path, tree: Path) -> None:
    """FZ-22"""
    grown = tree / "small-0"
    shop = Workshop(tmp_path)
    real = os.preadv

    def changing(handle: int, buffers: object, offset: int) -> int:
        if os.readlink(f"/proc/self/fd/{handle}") == str(grown):
            with grown.open("ab") as file:
                file.write(b"more")
        return real(handle, buffers, offset)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "preadv", changing)
        summary = shop.create(tree)

    assert summary.unstable == ("small-0",)
    before = describe(tree)
    restored = describe(Path(shop.stage(summary).path))
    assert {p: f for p, f in restored.items() if p != b"small-0"} == {
        p: f for p, f in before.items() if p != b"small-0"
    }


@pytest.mark.parametrize("name", ["small-7", "big"])
def test_a_file_that_changes_once_is_read_again_and_is_sound(tmp_path: Path, tree: Path, name: str) -> None:
    shop = Workshop(tmp_path)
    changed: list[bool] = []
    real = os.preadv

    def changing(handle: int, buffers: object, offset: int) -> int:
        found = real(handle, buffers, offset)  # type: ignore[arg-type]
        if not changed and os.readlink(f"/proc/self/fd/{handle}") == str(tree / name):
            changed.append(True)
            time.sleep(0.02)  # past the tick of the file system's clock
            with (tree / name).open("r+b") as file:
                file.write(b"changed")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "preadv", changing)
        summary = shop.create(tree)

    assert changed and summary.unstable == ()
    assert describe(Path(shop.stage(summary).path)) == describe(tree)


def test_a_file_that_vanishes_between_listing_and_opening_is_listed_and_its_other_names_are_read(
    tmp_path: Path, tree: Path
) -> None:
    """FZ-22"""
    shop = Workshop(tmp_path)
    for name in ("small-3-twin", "small-3-twin-of-twin"):
        os.link(tree / "small-3", tree / name)

    def opener(name: bytes, directory: int) -> int:
        if name == b"small-3":
            os.unlink(name, dir_fd=directory)
        return os.open(name, READ_FILE, dir_fd=directory)

    shop._open = opener  # type: ignore[method-assign]
    shop.__post_init__()
    summary = shop.create(tree)

    assert summary.unstable == ("small-3",)
    staged, wanted = describe(Path(shop.stage(summary).path)), describe(tree)
    assert {**staged, b"": None} == {**wanted, b"": None}  # the directory changed after it was listed


def test_a_name_that_gets_another_file_before_it_is_opened_does_not_lend_it_to_the_other_names(
    tmp_path: Path, tree: Path
) -> None:
    """`data` is replaced by renaming while its backup, a hard link, still is the old one."""
    shop = Workshop(tmp_path)
    os.link(tree / "small-3", tree / "small-3.backup")
    (tree / "new").write_bytes(b"another file")

    def opener(name: bytes, directory: int) -> int:
        if name == b"small-3":
            os.replace("new", "small-3", src_dir_fd=directory, dst_dir_fd=directory)
        return os.open(name, READ_FILE, dir_fd=directory)

    shop._open = opener  # type: ignore[method-assign]
    shop.__post_init__()
    staged = describe(Path(shop.stage(shop.create(tree)).path))

    wanted = describe(tree)
    assert staged[b"small-3.backup"] == wanted[b"small-3.backup"]
    assert staged[b"small-3"][5:] == wanted[b"small-3"][5:]


def test_a_file_swapped_for_a_link_while_walking_is_not_followed(tmp_path: Path, tree: Path) -> None:
    """A service must not be able to have another's files put into its snapshot."""
    shop = Workshop(tmp_path)
    (tmp_path / "foreign").write_bytes(b"somebody else's secret")

    def opener(name: bytes, directory: int) -> int:
        if name == b"small-3":
            os.unlink(name, dir_fd=directory)
            os.symlink(tmp_path / "foreign", name, dir_fd=directory)
        return os.open(name, READ_FILE, dir_fd=directory)

    shop._open = opener  # type: ignore[method-assign]
    shop.__post_init__()
    summary = shop.create(tree)

    assert summary.unstable == ("small-3",)
    staged = Path(shop.stage(summary).path)
    assert not any(path.read_bytes().startswith(b"somebody") for path in staged.iterdir())


def test_twenty_snapshots_at_once_keep_apart_and_stay_where_they_are(tmp_path: Path) -> None:
    """RS-12"""
    here = os.getcwd()
    shop = Workshop(tmp_path)
    for number in range(20):
        (tmp_path / f"app-{number}").mkdir()
        (tmp_path / f"app-{number}" / "marker").write_bytes(b"%d" % number * 2000)

    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda n: shop.create(tmp_path / f"app-{n}", f"s-{n}"), range(20)))

    assert os.getcwd() == here
    for number, summary in enumerate(made):
        staged = Path(shop.stage(summary, name=str(number)).path)
        assert describe(staged) == describe(tmp_path / f"app-{number}")


def test_memory_does_not_grow_with_the_tree(tmp_path: Path) -> None:
    """RS-14, FZ-04: 400 MiB through a slow store."""
    tree = tmp_path / "app"
    tree.mkdir()
    block = os.urandom(4 * MIB)
    with (tree / "big").open("wb") as file:
        for number in range(100):
            file.write(bytes([number]) + block[1:])
    from storage.objects.file import FileStore

    class SlowStore(FileStore):
        def put(self, key: str, parts: object) -> None:
            time.sleep(0.03)
            super().put(key, parts)  # type: ignore[arg-type]

    shop = Workshop(tmp_path, store=SlowStore(str(tmp_path / "store")))
    tracemalloc.start()
    try:
        summary = shop.create(tree)
        created = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        shop.stage(summary)
        staged = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert created < 180 * MIB and staged < 120 * MIB


# ---------------------------------------------------------------- restoring
def _damages(data: bytes) -> list[bytes]:
    middle = len(data) // 2
    return [data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :], data[:middle], b"", data[1:]]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("which", ["pack", "manifest"])
def test_damaged_objects_are_noticed_before_anything_is_swapped(
    shop: Workshop, tree: Path, kind: int, which: str
) -> None:
    """RS-16"""
    summary = shop.create(tree)
    key = summary.packs[0] if which == "pack" else summary.manifest_key
    shop.objects[key] = _damages(shop.objects[key])[kind]

    with pytest.raises(Damaged):
        shop.stage(summary)

    assert not list((shop.root / "staging").glob("*/tree"))


@pytest.mark.parametrize("which", ["pack", "manifest"])
def test_a_missing_object_is_named(shop: Workshop, tree: Path, which: str) -> None:
    """FZ-09"""
    summary = shop.create(tree)
    key = summary.packs[0] if which == "pack" else summary.manifest_key
    del shop.objects[key]

    with pytest.raises(ObjectMissing, match=key):
        shop.stage(summary)

    assert not (shop.root / "staging" / "1" / "tree").exists()


def test_every_flipped_byte_of_a_manifest_is_noticed(shop: Workshop, tmp_path: Path) -> None:
    """RS-16"""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "file").write_bytes(b"hello")
    summary = shop.create(tmp_path / "one")
    whole = shop.objects[summary.manifest_key]

    for position in range(len(whole)):
        shop.objects[summary.manifest_key] = whole[:position] + bytes([whole[position] ^ 0x40]) + whole[position + 1 :]
        with pytest.raises(Damaged):
            shop.archive.read(summary.manifest_key)


def test_a_manifest_in_anothers_place_is_refused(shop: Workshop, tree: Path) -> None:
    summary = shop.create(tree)
    stolen = summary.manifest_key.replace("acme", "evil")
    shop.objects[stolen] = shop.objects[summary.manifest_key]

    with pytest.raises(Damaged, match="not in its place"):
        shop.archive.read(stolen)


@pytest.mark.parametrize("mode", [RestoreMode.REPLACE, RestoreMode.MERGE])
def test_a_restore_that_fails_half_way_leaves_the_target_and_no_staging(
    shop: Workshop, tree: Path, tmp_path: Path, mode: RestoreMode
) -> None:
    """RS-17"""
    summary = shop.create(tree)
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious").write_bytes(b"old")
    before = describe(target)
    seen = 0

    def stop() -> None:
        nonlocal seen
        seen += 1
        if seen > 4:
            raise Cancelled

    shop.watch.stop = stop
    with pytest.raises(Cancelled):
        shop.stage(summary, mode, target)

    assert describe(target) == before
    assert not list((shop.root / "staging").glob("*/tree"))


def test_a_tree_that_does_not_fit_is_refused_before_a_byte_is_written(
    shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = shop.create(tree)
    monkeypatch.setattr(room, "_MOST", 1 << 60)
    monkeypatch.setattr(room, "_PART", 1)

    with pytest.raises(Refused, match=r"needs .* bytes") as caught:
        shop.stage(summary)

    assert caught.value.code == "no-room"
    assert not list((shop.root / "staging").glob("*/tree"))


def test_a_disk_that_fills_up_while_staging_is_told_as_such(
    shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = shop.create(tree)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(syscalls, "sync_file_system", full)
    with pytest.raises(Refused) as caught:
        shop.stage(summary)

    assert caught.value.code == "no-room"
    assert not list((shop.root / "staging").glob("*/tree"))


def test_staging_is_durable_before_it_is_reported(shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = shop.create(tree)
    synced: list[set[bytes]] = []
    real = syscalls.sync_file_system

    def note(handle: int) -> None:
        synced.append(set(describe(Path(f"/proc/self/fd/{handle}").resolve())))
        real(handle)

    monkeypatch.setattr(syscalls, "sync_file_system", note)
    shop.stage(summary)

    assert synced == [set(describe(tree))]


def test_the_disk_begins_with_big_files_while_the_rest_is_written(
    shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sync at the end is short, and still what counts."""
    summary = shop.create(tree)
    begun: list[tuple[int, int]] = []
    real = syscalls.start_writing_back

    def note(handle: int, offset: int, length: int) -> None:
        if os.readlink(f"/proc/self/fd/{handle}").endswith("/big"):
            begun.append((offset, length))
        real(handle, offset, length)

    monkeypatch.setattr(syscalls, "start_writing_back", note)
    shop.stage(summary)

    assert sum(length for _, length in begun) >= 5 * MIB
    assert len(set(begun)) == len(begun)


# ---------------------------------------------------------------- collecting
def test_collecting_takes_garbage_and_spares_what_is_live(shop: Workshop, tree: Path) -> None:
    first = shop.create(tree)
    (tree / "new").write_bytes(os.urandom(5000))
    second = shop.create(tree, "s2", parent=row_of(first))
    stray = shop.archive.pack_prefix("acme", "s2") + "f" * 32
    shop.objects[stray] = b"left by a killed attempt"
    own = (set(second.packs) - set(first.packs)).pop()

    gone = shop.archive.collect(
        [
            Garbage(first.packs[0], is_prefix=False, created_at=0),
            Garbage(shop.archive.pack_prefix("acme", "s2"), is_prefix=True, created_at=0),
            Garbage(first.manifest_key, is_prefix=False, created_at=0),
        ],
        lambda prefix: {own},
    )

    assert gone[0] == first.manifest_key and len(gone) == 3
    assert stray not in shop.objects and own in shop.objects
    assert first.packs[0] not in shop.objects and first.manifest_key not in shop.objects
