"""What goes in comes out: whole trees, links, holes, names, times."""

from __future__ import annotations

import errno
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from domain.errors import InvalidMessage, NotFound, Refused
from domain.restore import RestoreMode
from storage.archive import open_archive
from storage.sealing import KeyRing
from tests.unit.storage_archive.workshop import Workshop, describe, plant, row_of


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    return made


def test_a_tree_of_everything_awkward_comes_back_equal(shop: Workshop, tree: Path) -> None:
    """RS-05"""
    before = describe(plant(tree))

    summary = shop.create(tree)
    staged = shop.stage(summary)

    assert describe(Path(staged.path)) == before
    assert (summary.skipped, summary.unstable, staged.warnings) == ((), (), ())
    assert staged.inode == os.stat(staged.path).st_ino


def test_holes_take_no_room_in_the_store_and_none_on_disk(shop: Workshop, tree: Path) -> None:
    """RS-05"""
    with (tree / "sparse").open("wb") as file:
        file.truncate(5 << 30)
        file.seek(3 << 30)
        file.write(b"island")

    summary = shop.create(tree)
    staged = shop.stage(summary)

    assert summary.logical_bytes == 5 << 30
    assert summary.stored_bytes < 10_000
    found = (Path(staged.path) / "sparse").stat()
    assert found.st_size == 5 << 30 and found.st_blocks * 512 < 1 << 20


def test_extended_attributes_come_back(shop: Workshop, tree: Path) -> None:
    (tree / "file").write_bytes(b"x")
    try:
        os.setxattr(tree / "file", "user.origin", b"upload\0\xff")
        os.setxattr(tree, "user.root", b"yes")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        pytest.skip("this file system has no extended attributes")
    before = describe(tree)

    first = shop.create(tree)
    again = shop.create(tree, "s2", parent=row_of(first))

    assert describe(Path(shop.stage(again).path)) == before


def test_an_unchanged_tree_is_snapshotted_without_opening_a_file(shop: Workshop, tree: Path) -> None:
    before = describe(plant(tree))
    first = shop.create(tree)
    shop.opened.clear()

    second = shop.create(tree, "s2", parent=row_of(first))

    assert shop.opened == []
    assert second.root_digest == first.root_digest
    assert second.packs == first.packs
    assert second.stored_bytes < 5_000
    assert second.parent_id == "s1"
    assert describe(Path(shop.stage(second).path)) == before


def test_a_file_that_may_have_changed_in_the_tick_it_was_read_in_is_read_again(shop: Workshop, tree: Path) -> None:
    (tree / "file").write_bytes(b"x")
    shop.now_ms = os.stat(tree / "file").st_ctime_ns // 1_000_000
    first = shop.create(tree)
    shop.opened.clear()

    shop.create(tree, "s2", parent=row_of(first))

    assert shop.opened == [b"file"]


@pytest.mark.parametrize("hours", [-5, 5])
def test_that_holds_too_when_a_snapshot_is_dated_by_another_clock_than_the_file_systems(
    shop: Workshop, tree: Path, hours: int
) -> None:
    (tree / "file").write_bytes(b"x")
    shop.now_ms = os.stat(tree / "file").st_ctime_ns // 1_000_000
    first = shop.create(tree, taken_at=shop.now_ms + hours * 3_600_000)
    assert shop.archive.read(first.manifest_key).taken_at == shop.now_ms + hours * 3_600_000
    shop.opened.clear()

    shop.create(tree, "s2", parent=row_of(first))

    assert shop.opened == [b"file"]


@pytest.mark.parametrize("cache", [True, False])
def test_only_changed_files_are_read_and_only_new_bytes_are_stored(tmp_path: Path, tree: Path, cache: bool) -> None:
    shop = Workshop(tmp_path, cache=cache)
    plant(tree)
    first = shop.create(tree)
    shop.opened.clear()
    data = (tree / "big").read_bytes()
    (tree / "big").write_bytes(data[:1_000_000] + b"inserted" + data[1_000_000:])
    (tree / "new").write_bytes(b"new" * 1000)
    (tree / "copy").write_bytes(data)
    (tree / "zero").unlink()

    second = shop.create(tree, "s2", parent=row_of(first))

    assert sorted(shop.opened) == [b"big", b"copy", b"new"]
    assert second.stored_bytes < 250_000 < len(data)
    assert set(first.packs) < set(second.packs)
    assert describe(Path(shop.stage(second).path)) == describe(tree)


def test_a_replaced_file_of_the_same_size_and_mtime_is_noticed(shop: Workshop, tree: Path) -> None:
    (tree / "file").write_bytes(b"old")
    status = (tree / "file").stat()
    first = shop.create(tree)
    (tree / "file").write_bytes(b"new")
    os.utime(tree / "file", ns=(status.st_atime_ns, status.st_mtime_ns))

    second = shop.create(tree, "s2", parent=row_of(first))

    assert (Path(shop.stage(second).path) / "file").read_bytes() == b"new"


def test_a_parent_of_which_a_pack_is_lost_is_not_built_upon(shop: Workshop, tree: Path) -> None:
    (tree / "file").write_bytes(b"x" * 5000)
    first = shop.create(tree)
    del shop.objects[first.packs[0]]

    second = shop.create(tree, "s2", parent=row_of(first))

    assert second.parent_id is None
    assert describe(Path(shop.stage(second).path)) == describe(tree)


def test_a_damaged_parent_does_not_stop_new_snapshots(shop: Workshop, tree: Path) -> None:
    (tree / "file").write_bytes(b"x" * 5000)
    first = shop.create(tree)
    shop.objects[first.manifest_key] = b"rubbish"
    for copy in (shop.root / "cache").rglob("*"):
        if copy.is_file():
            copy.write_bytes(b"rubbish")

    second = shop.create(tree, "s2", parent=row_of(first))

    assert second.parent_id is None
    assert describe(Path(shop.stage(second).path)) == describe(tree)


def test_patterns_leave_out_what_gitignore_would(shop: Workshop, tree: Path) -> None:
    for name in ("a.log", "keep.log", "src/a.log", "cache/x", "src/cache/y", "src/code"):
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_bytes(b"x")

    summary = shop.create(tree, exclude=("*.log", "!keep.log", "/cache/"))
    found = describe(Path(shop.stage(summary).path))

    assert set(found) == {b"", b"keep.log", b"src", b"src/cache", b"src/cache/y", b"src/code"}
    assert summary.skipped == ()


def test_a_pattern_that_means_nothing_is_refused(shop: Workshop, tree: Path) -> None:
    with pytest.raises(InvalidMessage):
        shop.create(tree, exclude=("!",))


def test_our_own_folder_at_the_root_is_never_in_a_snapshot(shop: Workshop, tree: Path) -> None:
    for name in (".backstay/op/x", ".backstay-old/x", "inner/.backstay/x"):
        (tree / name).parent.mkdir(parents=True)
        (tree / name).write_bytes(b"x")

    found = describe(Path(shop.stage(shop.create(tree)).path))

    assert set(found) == {b"", b"inner", b"inner/.backstay", b"inner/.backstay/x"}


def test_what_is_no_file_is_left_out_and_listed(shop: Workshop, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(tree, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{here}/sock\n")
        finally:
            os.close(here)
        summary = shop.create(tree)

    assert (summary.skipped, summary.sockets) == (("pipe",), ("sock\\n",))
    assert shop.archive.read(summary.manifest_key).sockets == summary.sockets
    assert set(describe(Path(shop.stage(summary).path))) == {b""}


def test_setuid_of_files_is_dropped_and_said_and_setgid_of_directories_stays(shop: Workshop, tree: Path) -> None:
    """RS-15"""
    (tree / "tool").write_bytes(b"x")
    os.chmod(tree / "tool", 0o6755)
    (tree / "team").mkdir()
    os.chmod(tree / "team", 0o3770)

    staged = shop.stage(shop.create(tree))

    assert stat.S_IMODE((Path(staged.path) / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((Path(staged.path) / "team").stat().st_mode) == 0o3770
    assert staged.warnings == ("setuid or setgid was dropped: tool",)


def test_an_apps_root_with_setgid_does_not_change_the_groups_of_a_restored_tree(shop: Workshop, tree: Path) -> None:
    before = describe(plant(tree))
    above = shop.root / "staging"
    above.mkdir()
    if os.geteuid() == 0:
        os.chown(above, 0, 12345)
    os.chmod(above, 0o2755)

    assert describe(Path(shop.stage(shop.create(tree)).path)) == before


def test_the_platforms_marker_is_gone_after_a_restore(shop: Workshop, tree: Path) -> None:
    """RS-06"""
    (tree / ".chowned").write_bytes(b"")
    (tree / "inner").mkdir()
    (tree / "inner" / ".chowned").write_bytes(b"")

    staged = shop.stage(shop.create(tree))

    assert set(describe(Path(staged.path))) == {b"", b"inner", b"inner/.chowned"}
    assert os.stat(staged.path).st_mtime_ns == tree.stat().st_mtime_ns


def test_a_directory_named_like_the_marker_is_kept_and_said(shop: Workshop, tree: Path) -> None:
    """RS-06"""
    (tree / ".chowned").mkdir()
    (tree / ".chowned" / "data").write_bytes(b"x")

    staged = shop.stage(shop.create(tree))

    assert (Path(staged.path) / ".chowned" / "data").read_bytes() == b"x"
    assert ".chowned" in staged.warnings[0]


def test_configuration_is_sealed_and_opens_only_with_the_ring(shop: Workshop, tmp_path: Path) -> None:
    secret = "canary-hunter2"
    summary = shop.create(None, configuration={"env": {"PASSWORD": secret}})

    assert shop.archive.read(summary.manifest_key).configuration == {"env": {"PASSWORD": secret}}
    assert summary.include == ("configuration",) and summary.packs == ()
    assert not any(secret.encode() in data for data in shop.objects.values())
    stranger = open_archive(shop.store, KeyRing.parse(KeyRing.generate_text("other")), cache_dir=None)
    with pytest.raises(Refused) as caught:
        stranger.read(summary.manifest_key)
    assert caught.value.code == "unknown-key"


def test_a_snapshot_without_data_cannot_be_staged(shop: Workshop) -> None:
    summary = shop.create(None, configuration={})

    with pytest.raises(Refused, match="holds no data"):
        shop.stage(summary)


def test_a_snapshot_without_configuration_has_none(shop: Workshop, tree: Path) -> None:
    summary = shop.create(tree)

    assert summary.include == ("data",)
    assert shop.archive.read(summary.manifest_key).configuration is None


def test_reading_a_manifest_says_what_creating_it_said(shop: Workshop, tree: Path) -> None:
    created = shop.create(plant(tree), configuration={"a": 1})

    assert shop.archive.read(created.manifest_key) == created
    assert created.labels == ("reason:test",)
    assert created.taken_at == shop.now_ms


def test_progress_counts_every_byte_and_file(shop: Workshop, tree: Path) -> None:
    for number in range(600):
        (tree / str(number)).write_bytes(b"x" * number)
    (tree / "big").write_bytes(os.urandom(3_000_000))
    wanted = 3_000_000 + sum(range(600))

    summary = shop.create(tree)
    assert (shop.watch.bytes, shop.watch.files) == (wanted, 601) == (summary.logical_bytes, summary.files)
    shop.watch.bytes = 0
    shop.stage(summary)
    assert shop.watch.bytes == wanted == shop.watch.expected[0]


def test_a_directory_that_is_gone_is_not_found(shop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        shop.create(tmp_path / "never-there")


def test_a_root_that_is_a_link_is_refused(shop: Workshop, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)

    with pytest.raises(Refused):
        shop.create(tmp_path / "link")


def test_merge_keeps_what_only_the_target_has(shop: Workshop, tree: Path, tmp_path: Path) -> None:
    """RS-17"""
    (tree / "both").write_bytes(b"snapshot's")
    (tree / "dir").mkdir()
    (tree / "dir" / "old").write_bytes(b"old")
    (tree / "becomes-file").write_bytes(b"file")
    summary = shop.create(tree)
    target = tmp_path / "target"
    (target / "dir").mkdir(parents=True)
    (target / "both").write_bytes(b"target's")
    (target / "dir" / "extra").write_bytes(b"extra")
    (target / "becomes-file").mkdir()
    (target / "only").mkdir(mode=0o750)
    (target / "only" / "here").write_bytes(b"kept")
    (target / "link").symlink_to("only/here")
    os.utime(target / "only", ns=(1, 1_000_000_000_000_000_003))
    live = describe(target)

    merged = describe(Path(shop.stage(summary, RestoreMode.MERGE).path))

    wanted = describe(tree)
    wanted |= {path: live[path] for path in (b"dir/extra", b"only", b"only/here", b"link")}
    # The kept file has two names while both trees exist; which is the first is of no interest.
    assert {p: f for p, f in merged.items() if f[0] != stat.S_IFREG} == {
        p: f for p, f in wanted.items() if f[0] != stat.S_IFREG
    }
    assert {p: f[:-1] for p, f in merged.items()} == {p: f[:-1] for p, f in wanted.items()}
    assert describe(target).keys() == live.keys()


def test_replace_leaves_out_what_only_the_target_has(shop: Workshop, tree: Path, tmp_path: Path) -> None:
    """RS-17"""
    (tree / "a").write_bytes(b"a")
    summary = shop.create(tree)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "extra").write_bytes(b"x")

    assert set(describe(Path(shop.stage(summary).path))) == {b"", b"a"}


def test_one_snapshot_is_restored_to_two_places(shop: Workshop, tree: Path) -> None:
    """RS-20"""
    before = describe(plant(tree))
    summary = shop.create(tree)

    first, second = shop.stage(summary, name="1"), shop.stage(summary, name="2")

    assert describe(Path(first.path)) == describe(Path(second.path)) == before
    assert first.inode != second.inode


NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda n: not set(n) & {0, 47} and n not in (b".", b"..", b".chowned") and not n.startswith(b".backstay")
)
CONTENT = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.binary(min_size=1, max_size=8), st.integers(1, 400_000)).map(lambda pair: pair[0] * pair[1]),
)
NODES = st.recursive(CONTENT, lambda inner: st.dictionaries(NAMES, inner, max_size=5), max_leaves=12)


def _grow(path: bytes, node: Any) -> None:
    if isinstance(node, dict):
        os.mkdir(path)
        for name, inner in node.items():
            _grow(path + b"/" + name, inner)
    else:
        with open(path, "wb") as file:
            file.write(node)


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    encryption=st.booleans(),
    first=st.dictionaries(NAMES, NODES, max_size=6),
    second=st.dictionaries(NAMES, NODES, max_size=6),
)
def test_any_tree_and_its_successor_come_back_equal(encryption: bool, first: Any, second: Any) -> None:
    """RS-05, for trees nobody thought of"""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shop = Workshop(root, encryption=encryption)
        _grow(os.fsencode(root / "one"), first)
        _grow(os.fsencode(root / "two"), second)

        one = shop.create(root / "one")
        two = shop.create(root / "two", "s2", parent=row_of(one))

        assert describe(Path(shop.stage(one, name="1").path)) == describe(root / "one")
        assert describe(Path(shop.stage(two, name="2").path)) == describe(root / "two")
