"""The swap of a live tree, and everything that must stay beneath the apps root."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from domain.errors import LeaseLost, PathEscape, Refused, StoreUnavailable
from storage.archive import leftover, mounts, open_trees, syscalls
from storage.archive.beneath import READ_DIRECTORY, remove_tree
from storage.archive.trees import AppsRoot
from tests.dying import killed

OP = "0192f0c1-0000-7000-8000-000000000001"


@pytest.fixture
def apps(tmp_path: Path) -> Path:
    (tmp_path / "apps" / "acme" / "web").mkdir(parents=True)
    return tmp_path / "apps"


@pytest.fixture
def trees(apps: Path) -> AppsRoot:
    opened = open_trees(str(apps))
    assert isinstance(opened, AppsRoot)
    return opened


def _beside_the_old(trees: AppsRoot) -> tuple[str, str, int]:
    """A live tree with the word "old" in it and a staged one: the target, where that is staged, and its inode."""
    target = trees.resolve("acme/web")
    Path(target, "word").write_text("old")
    return target, *_staged(trees, target)


def _staged(trees: AppsRoot, target: str, word: str = "new") -> tuple[str, int]:
    staging = trees.staging_path(OP, target)
    os.makedirs(staging)
    Path(staging, "word").write_text(word)
    return staging, os.stat(staging).st_ino


def _word(path: str) -> str:
    return Path(path, "word").read_text()


def _kept(staging: str) -> list[str]:
    """The words of all trees that lie beside the live one."""
    return [_word(str(found)) for found in Path(staging).parent.iterdir() if found.is_dir()]


def test_a_swap_puts_the_new_tree_live_and_keeps_the_old_one(trees: AppsRoot, apps: Path) -> None:
    target, staging, inode = _beside_the_old(trees)

    assert trees.swap(staging, target, inode) is True
    assert (_word(target), _word(staging)) == ("new", "old")


def test_who_is_frozen_in_the_middle_of_a_swap_is_named_and_nobody_else_swaps_until_it_has_ended(
    trees: AppsRoot,
) -> None:
    """It would go on with what it saw before."""
    target = trees.resolve("acme/web")
    staging, inode = _staged(trees, target)
    frozen = os.fork()
    if frozen == 0:
        with trees._alone():
            os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(1)
    assert os.WIFSTOPPED(os.waitpid(frozen, os.WUNTRACED)[1])
    with pytest.raises(StoreUnavailable, match=rf"process {frozen} \(.*, which is stopped\)") as refused:
        trees.swap(staging, target, inode)
    assert refused.value.code == "busy" and not Path(target, "word").exists()

    os.kill(frozen, signal.SIGKILL)
    os.waitpid(frozen, 0)
    assert trees.swap(staging, target, inode) is True


def test_a_swap_that_was_done_is_recognised_and_not_done_twice(trees: AppsRoot) -> None:
    target, staging, inode = _beside_the_old(trees)
    trees.swap(staging, target, inode)

    assert trees.swap(staging, target, inode) is False
    assert (_word(target), _word(staging)) == ("new", "old")


def test_swapping_back_returns_the_old_tree_however_often_it_is_asked(trees: AppsRoot) -> None:
    target, staging, inode = _beside_the_old(trees)
    trees.swap(staging, target, inode)

    assert trees.swap_back(staging, target, inode, existed=True) is True
    assert trees.swap_back(staging, target, inode, existed=True) is False
    assert (_word(target), _kept(staging)) == ("old", ["new"])


def test_swapping_back_what_was_never_swapped_changes_nothing(trees: AppsRoot) -> None:
    target, staging, inode = _beside_the_old(trees)

    assert trees.swap_back(staging, target, inode, existed=True) is False
    assert _word(target) == "old"


@pytest.mark.parametrize("swapped", [True, False])
def test_who_was_frozen_before_its_swap_does_not_swap_after_the_way_back(trees: AppsRoot, swapped: bool) -> None:
    """I20: its successor has swapped and gone back, or gone back at once; what it then discards must not be the old
    tree."""
    target, staging, inode = _beside_the_old(trees)
    if swapped:
        trees.swap(staging, target, inode)
    assert trees.swap_back(staging, target, inode, existed=True) is swapped

    with pytest.raises(LeaseLost):
        trees.swap(staging, target, inode)
    trees.discard(OP)
    assert _word(target) == "old"
    with pytest.raises(Refused):
        trees.swap(staging, target, inode)
    assert _word(target) == "old"


def test_whoever_goes_on_with_a_way_back_that_was_cut_short_ends_it(
    trees: AppsRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, staging, inode = _beside_the_old(trees)
    trees.swap(staging, target, inode)
    with monkeypatch.context() as patched:
        patched.setattr(leftover, "turn_back", _dies)
        with pytest.raises(KeyboardInterrupt):
            trees.swap_back(staging, target, inode, existed=True)

    assert trees.swap(staging, target, inode) is True  # as by a former holder that wakes now
    assert trees.swap_back(staging, target, inode, existed=True) is True
    with pytest.raises(LeaseLost):
        trees.swap(staging, target, inode)
    assert _word(target) == "old"


@pytest.mark.parametrize("point", ["trees.before-swap-back", "trees.after-swap-back"])
def test_whoever_is_killed_on_the_way_back_another_ends_it(trees: AppsRoot, point: str) -> None:
    """I20"""
    target, staging, inode = _beside_the_old(trees)
    trees.swap(staging, target, inode)

    killed(point, lambda: trees.swap_back(staging, target, inode, existed=True))
    trees.swap_back(staging, target, inode, existed=True)
    assert _word(target) == "old"
    with pytest.raises(LeaseLost):
        trees.swap(staging, target, inode)


def _dies(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_tree_that_is_staged_anew_after_the_way_back_can_go_live(trees: AppsRoot) -> None:
    target, staging, inode = _beside_the_old(trees)
    trees.swap_back(staging, target, inode, existed=True)
    staging, fresh = _staged(trees, target, "newer")

    with pytest.raises(LeaseLost):
        trees.swap(staging, target, inode)
    assert trees.swap(staging, target, fresh) is True
    assert _word(target) == "newer"


def test_a_swap_and_back_onto_nothing_leaves_nothing(trees: AppsRoot, apps: Path) -> None:
    target = trees.resolve("acme/other/deep")
    staging, inode = _staged(trees, target)

    assert trees.is_absent(target)
    assert trees.swap(staging, target, inode) is True
    assert _word(target) == "new" and trees.is_absent(staging)
    assert trees.swap_back(staging, target, inode, existed=False) is True
    assert trees.is_absent(target) and _kept(staging) == ["new"]


def test_a_staged_tree_that_is_gone_is_refused_and_the_live_one_stays(trees: AppsRoot) -> None:
    target, staging, inode = _beside_the_old(trees)
    trees.discard(OP)

    with pytest.raises(Refused) as caught:
        trees.swap(staging, target, inode)

    assert caught.value.code == "staged-tree-gone" and _word(target) == "old"


def test_a_swap_is_on_disk_in_both_folders_before_it_is_reported(
    trees: AppsRoot, apps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = trees.resolve("acme/web")
    staging, inode = _staged(trees, target)
    effects: list[str] = []
    rename, fsync = syscalls.rename, os.fsync

    def note_rename(*arguments: Any) -> None:
        rename(*arguments)
        effects.append("rename")

    def note_fsync(handle: int) -> None:
        fsync(handle)
        effects.append(os.readlink(f"/proc/self/fd/{handle}"))

    monkeypatch.setattr(syscalls, "rename", note_rename)
    monkeypatch.setattr(os, "fsync", note_fsync)
    trees.swap(staging, target, inode)

    assert effects[0] == "rename"
    assert set(effects[1:]) == {str(apps / "acme"), str(apps / ".backstay" / OP)}


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "not-permitted"),
        (errno.EPERM, "not-permitted"),
        (errno.EBUSY, "mount-point"),
        (errno.EXDEV, "mount-point"),
        (errno.EINVAL, "no-exchange"),
    ],
)
def test_a_file_system_that_cannot_exchange_refuses_in_words(
    trees: AppsRoot, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    target = trees.resolve("acme/web")
    staging, inode = _staged(trees, target)

    def cannot(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(syscalls, "rename", cannot)
    with pytest.raises(Refused) as caught:
        trees.swap(staging, target, inode)

    assert caught.value.code == code and caught.value.next_step


def test_a_target_that_is_a_mount_point_is_refused_before_anything_is_staged(
    trees: AppsRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = trees.resolve("acme/web")
    monkeypatch.setattr(os.path, "ismount", lambda path: path == target)

    with pytest.raises(Refused) as caught:
        trees.check_exchange(target)

    assert caught.value.code == "mount-point"


def test_mounts_inside_of_a_directory_are_told_from_those_beside_it(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    row = b"36 25 0:32 / %s rw,relatime shared:1 - tmpfs tmpfs rw\n"
    names = rb"/", rb"/apps", rb"/apps/web", rb"/apps/web-2/x", rb"/apps/web/a\040b", b"/apps/web/\xff", rb"/apps/we"
    table.write_bytes(b"".join(row % name for name in names) + b"torn\n")

    assert mounts.inside(b"/apps/web", str(table)) == [b"/apps/web/a b", b"/apps/web/\xff"]
    assert mounts.inside(b"/apps/web", str(tmp_path / "none")) == []


def test_a_mount_that_came_after_staging_ends_the_swap_before_it_begins(
    trees: AppsRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, staging, inode = _beside_the_old(trees)
    monkeypatch.setattr(mounts, "inside", lambda directory: [directory + b"/data"])

    with pytest.raises(Refused) as caught:
        trees.swap(staging, target, inode)

    assert caught.value.code == "mount-inside" and _word(target) == "old"


def test_a_mount_that_came_into_the_new_tree_is_not_carried_off_with_it(
    trees: AppsRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, staging, inode = _beside_the_old(trees)
    trees.swap(staging, target, inode)
    with monkeypatch.context() as patched:
        patched.setattr(mounts, "inside", lambda directory: [directory + b"/data"])
        with pytest.raises(Refused) as caught:
            trees.swap_back(staging, target, inode, existed=True)

    assert caught.value.code == "mount-inside" and _word(target) == "new"
    assert trees.swap_back(staging, target, inode, existed=True) is True


def test_a_target_that_this_worker_may_not_exchange_is_refused_before_anything_is_staged(
    trees: AppsRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = trees.resolve("acme/web")
    for denied in (target, os.path.dirname(target)):
        with monkeypatch.context() as patched:
            patched.setattr(os, "access", lambda path, *_, no=denied, **__: path != no)
            with pytest.raises(Refused) as caught:
                trees.check_exchange(target)
        assert caught.value.code == "not-permitted" and caught.value.next_step

    assert trees.staged_operations() == []


@pytest.mark.parametrize("directory", ["../etc", "/etc", "a/../../b", "", ".", ".backstay/x", "a\0b"])
def test_a_directory_that_leads_outside_is_refused(trees: AppsRoot, directory: str) -> None:
    with pytest.raises(PathEscape):
        trees.resolve(directory)


@pytest.mark.parametrize("directory", ["link", "link/x", "acme/link/web"])
def test_a_link_on_the_way_is_refused_wherever_it_leads(trees: AppsRoot, apps: Path, directory: str) -> None:
    (apps / "link").symlink_to(apps / "acme")
    (apps / "acme" / "link").symlink_to(".")

    with pytest.raises(PathEscape, match="symbolic link"):
        trees.resolve(directory)


@pytest.mark.parametrize("op_id", ["..", ".", "", "a/b", "/etc", "-x", "a\0"])
def test_an_operations_id_is_never_a_way_out_of_the_staging_folder(trees: AppsRoot, op_id: str) -> None:
    with pytest.raises(PathEscape):
        trees.discard(op_id)
    with pytest.raises(PathEscape):
        trees.staging_path(op_id, trees.resolve("acme/web"))


def test_emptiness_is_nothing_at_all_or_nothing_inside(trees: AppsRoot, apps: Path) -> None:
    target = trees.resolve("acme/web")

    assert trees.is_empty(target) and not trees.is_absent(target)
    assert trees.is_empty(str(apps / "never")) and trees.is_absent(str(apps / "never"))
    Path(target, ".hidden").write_bytes(b"")
    assert not trees.is_empty(target)


def test_discarding_removes_what_was_staged_and_can_be_repeated(trees: AppsRoot) -> None:
    staging, _ = _staged(trees, trees.resolve("acme/web"))
    os.makedirs(os.path.join(staging, "locked", "inner"))
    os.chmod(os.path.join(staging, "locked"), 0)

    assert trees.staged_operations() == [OP]
    trees.discard(OP)
    trees.discard(OP)

    assert trees.staged_operations() == []


def test_a_very_deep_tree_is_removed(tmp_path: Path) -> None:
    handle = os.open(tmp_path, READ_DIRECTORY)
    try:
        here = os.dup(handle)
        for _ in range(3000):
            os.mkdir("d", dir_fd=here)
            inner = os.open("d", READ_DIRECTORY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(here)

        remove_tree(b"d", handle)

        assert os.listdir(handle) == []
    finally:
        os.close(handle)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root marks files immutable")
def test_what_is_marked_immutable_is_removed_and_another_name_of_it_stays_marked(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    for folder in ("a/full", "a/empty"):
        (tree / folder).mkdir(parents=True)
    for file in (tree / "top", tree / "a" / "full" / "file", outside):
        file.write_bytes(b"x")
    os.link(outside, tree / "linked")
    marked = [outside, *sorted(tree.rglob("*"), reverse=True), tree]
    if not all(_mark(path) for path in marked):
        pytest.skip("this file system has no such marks")
    handle = os.open(tmp_path, READ_DIRECTORY)
    try:
        remove_tree(b"tree", handle)
        with pytest.raises(PermissionError):
            outside.write_bytes(b"y")
    finally:
        os.close(handle)
        remaining = os.open(outside, os.O_RDONLY)
        syscalls.release(remaining)
        os.close(remaining)

    assert not tree.exists()


def _mark(path: Path) -> bool:
    handle = os.open(path, os.O_RDONLY)
    try:
        syscalls.seal(handle, 0x10)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def test_removing_never_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_bytes(b"x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "outside")
    handle = os.open(tmp_path, READ_DIRECTORY)
    try:
        remove_tree(b"tree", handle)
        remove_tree(b"never-there", handle)
    finally:
        os.close(handle)

    assert (tmp_path / "outside" / "precious").exists() and not (tmp_path / "tree").exists()


def test_swapping_back_refuses_to_leave_nothing_live(trees: AppsRoot) -> None:
    target, staging, inode = _beside_the_old(trees)
    trees.swap(staging, target, inode)
    Path(staging).rename(f"{staging}-gone")

    with pytest.raises(Refused, match="is gone"):
        trees.swap_back(staging, target, inode, existed=True)
    assert _word(target) == "new"
