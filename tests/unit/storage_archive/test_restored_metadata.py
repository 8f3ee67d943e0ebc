"""Owners, access lists and attributes of a restored tree, by whom it may; and a disk that fills up meanwhile."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from domain.errors import Refused
from domain.restore import RestoreMode
from tests.dying import killed
from tests.forking import fork
from tests.unit.storage_archive.workshop import Workshop, describe, plant

MIB = 1 << 20
NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away and mounts")


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, encryption=True)


def access_list(*entries: tuple[int, int, int]) -> bytes:
    """The kernel's form of a POSIX ACL: (tag, permissions, id)."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


#: Owner rwx, user 1234 rw-, group r-x, mask rwx, others none.
LIST = access_list((1, 7, 2**32 - 1), (2, 6, 1234), (4, 5, 2**32 - 1), (16, 7, 2**32 - 1), (32, 0, 2**32 - 1))


def _set(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise
        pytest.skip(f"this file system, or this user, has no {name}")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return plant(tmp_path / "app")


def _given_away(tree: Path) -> None:
    for number, path in enumerate(sorted(tree.rglob("*"))):
        status = path.lstat()
        os.chown(path, 1000 + number, 2000 + number, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(status.st_mode & 0o7777)
    os.chown(tree, 4321, 1234)


@as_root
@pytest.mark.parametrize("from_live", [False, True], ids=["fetched", "reused"])
def test_root_gives_every_entry_its_owner_back(shop: Workshop, tree: Path, from_live: bool) -> None:
    """RS-05: files, directories, links and the root; also of files that are taken from a live tree of other owners."""
    _given_away(tree)
    before = describe(tree)
    summary = shop.create(tree)
    for path in [tree, *tree.rglob("*")]:
        os.chown(path, 7, 7, follow_symlinks=False)
    staged = shop.stage(summary, target=tree if from_live else None)
    assert describe(Path(staged.path)) == before
    assert (staged.reused > 0, staged.warnings) == (from_live, ())


@pytest.mark.parametrize("verify", [False, True])
def test_the_access_list_of_the_apps_root_is_not_given_to_what_is_restored_beneath_it(
    shop: Workshop, tree: Path, verify: bool
) -> None:
    """Nobody may read a restored file who could not read it when it was saved."""
    summary = shop.create(tree)
    apps = shop.root / "apps"
    apps.mkdir()
    _set(apps, "system.posix_acl_default", LIST)
    staged = shop.archive.stage(
        summary.manifest_key, "/none", f"{apps}/.backstay/op/tree", RestoreMode.REPLACE, shop.watch, verify=verify
    )
    assert describe(Path(staged.path)) == describe(tree)


@as_root
def test_who_is_not_root_owns_what_he_restores(shop: Workshop, tree: Path) -> None:
    _given_away(tree)
    summary = shop.create(tree)
    with tempfile.TemporaryDirectory() as place:  # the directories of tests are closed to others
        os.chown(place, NOBODY, NOBODY)
        staging = f"{place}/operation/tree"

        def restore() -> None:
            staged = shop.archive.stage(summary.manifest_key, "/none", staging, RestoreMode.REPLACE, shop.watch)
            assert staged.warnings and all("the owner could not be set" in warning for warning in staged.warnings)

        assert _as_nobody(restore) == 0
        restored = describe(Path(staging))
    assert {facts[1:3] for facts in restored.values()} == {(NOBODY, NOBODY)}
    assert {p: (f[0], *f[3:]) for p, f in restored.items()} == {p: (f[0], *f[3:]) for p, f in describe(tree).items()}


@as_root
def test_who_is_not_root_gives_a_file_the_group_that_he_is_in_and_warns_of_what_he_cannot_give(
    shop: Workshop, tree: Path
) -> None:
    """RS-05: an owner that is lost is told, and a group that can be given back is not lost."""
    for path in [tree, *tree.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.chown(tree / "text", NOBODY, 4321)
    os.chown(tree / "big", 4321, NOBODY)
    os.chown(tree / "deep", NOBODY, 9876)
    summary = shop.create(tree)
    with tempfile.TemporaryDirectory() as place:
        os.chown(place, NOBODY, NOBODY)

        def restore() -> None:
            staged = shop.archive.stage(
                summary.manifest_key, "/none", f"{place}/operation/tree", RestoreMode.REPLACE, shop.watch
            )
            assert staged.warnings == ("the owner could not be set: big", "the owner could not be set: deep")

        assert _as_nobody(restore, 4321) == 0
        assert os.stat(f"{place}/operation/tree/text").st_gid == 4321


@as_root
def test_a_merge_gives_a_directory_of_the_target_its_group_and_warns_of_what_it_cannot_give(
    shop: Workshop, tree: Path
) -> None:
    """RS-05, RS-17: the directories that only the target has are made anew."""
    for path in [tree, *tree.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    summary = shop.create(tree)
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / "live"
        (target / "ours").mkdir(parents=True)
        (target / "deep" / "others").mkdir(parents=True)
        (target / "deep" / "roots").mkdir()
        for path, owner, group in (
            (Path(place), NOBODY, NOBODY),
            (target, NOBODY, NOBODY),
            (target / "ours", NOBODY, 4321),
            (target / "deep", NOBODY, NOBODY),
            (target / "deep" / "others", NOBODY, 9876),
            (target / "deep" / "roots", 0, NOBODY),
        ):
            os.chown(path, owner, group)

        def restore() -> None:
            staged = shop.archive.stage(
                summary.manifest_key, str(target), f"{place}/operation/tree", RestoreMode.MERGE, shop.watch
            )
            assert staged.warnings == (
                "the owner could not be set: deep/others",
                "the owner could not be set: deep/roots",
            )

        assert _as_nobody(restore, 4321) == 0
        assert os.stat(f"{place}/operation/tree/ours").st_gid == 4321


def _as_nobody(work: Callable[[], None], *groups: int) -> int:
    """The exit code of a child without rights that does the work."""
    pid = fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups(groups)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("from_live", [False, True], ids=["fetched", "reused"])
def test_access_lists_and_attributes_come_back_and_are_not_inherited(
    shop: Workshop, tree: Path, from_live: bool
) -> None:
    """A file without a list, in a directory that gives one to what is made in it, stays without."""
    _set(tree / "big", "system.posix_acl_access", LIST)
    _set(tree / "deep", "system.posix_acl_default", LIST)
    _set(tree / "deep" / "er", "system.posix_acl_default", LIST)
    _set(tree / "text", "user.origin", b"upload\0\xff")
    before = describe(tree)
    assert b"deep/er/file" in before
    summary = shop.create(tree)
    os.removexattr(tree / "big", "system.posix_acl_access")
    os.setxattr(tree / "deep" / "er" / "file", "user.later", b"not in the snapshot")
    staged = shop.stage(summary, target=tree if from_live else None)
    assert describe(Path(staged.path)) == before
    assert (staged.reused > 0, staged.warnings) == (from_live, ())


@as_root
@pytest.mark.parametrize("from_live", [False, True], ids=["fetched", "reused"])
def test_no_privilege_comes_back_with_a_tree(shop: Workshop, tree: Path, from_live: bool) -> None:
    """RS-15, I16: neither set-user-id, which is said, nor file capabilities, which no snapshot holds."""
    capability = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
    _set(tree / "text", "security.capability", capability)
    (tree / "big").chmod(0o6755)
    summary = shop.create(tree)
    staged = shop.stage(summary, target=tree if from_live else None)
    restored = Path(staged.path)
    assert "security.capability" not in os.listxattr(restored / "text")
    assert (restored / "big").stat().st_mode & 0o7777 == 0o755
    assert staged.warnings == ("setuid or setgid was dropped: big",)


# ---------------------------------------------------------------- a disk that fills up
@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MiB."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "disk"
    place.mkdir()
    if libc.mount(b"none", os.fsencode(place), b"tmpfs", 0, b"size=32m") != 0:
        pytest.skip(f"cannot mount here: {os.strerror(ctypes.get_errno())}")
    try:
        yield place
    finally:
        assert libc.umount2(os.fsencode(place), 2) == 0


@as_root
@pytest.mark.parametrize("mode", [RestoreMode.REPLACE, RestoreMode.MERGE])
def test_a_disk_that_somebody_fills_meanwhile_leaves_the_old_tree_and_says_what_is_missing(
    shop: Workshop, small_disk: Path, mode: RestoreMode
) -> None:
    """RS-17: there was room when it began."""
    tree = shop.root / "app"
    tree.mkdir()
    (tree / "big").write_bytes(os.urandom(16 * MIB))
    summary = shop.create(tree)
    target = small_disk / "live"
    target.mkdir()
    (target / "precious").write_bytes(os.urandom(MIB))
    before = describe(target)

    turn = threading.Lock()

    def fill() -> None:
        with turn:  # whoever writes meanwhile waits, so that most of the tree is still to come
            if shop.watch.bytes and not (small_disk / "greedy").exists():
                try:
                    (small_disk / "greedy").write_bytes(bytes(32 * MIB))
                except OSError as error:
                    assert error.errno == errno.ENOSPC

    shop.watch.bytes, shop.watch.stop = 0, fill
    words = r"No space left on device; it needs 167\d+ bytes and 2 inodes, \d+ bytes"
    with pytest.raises(Refused, match=words) as told:
        shop.archive.stage(summary.manifest_key, str(target), str(small_disk / "operation" / "tree"), mode, shop.watch)
    assert told.value.code == "no-room"
    assert describe(target) == before
    assert list((small_disk / "operation").iterdir()) == []


@as_root
def test_a_tree_that_an_earlier_attempt_had_nearly_staged_needs_only_room_for_the_rest(
    shop: Workshop, small_disk: Path
) -> None:
    """What is taken up is moved, not copied: 20 of 32 MiB are staged already."""
    tree = shop.root / "app"
    tree.mkdir()
    for number in range(5):
        (tree / f"{number}").write_bytes(os.urandom(4 * MIB))
    summary = shop.create(tree)
    staging = str(small_disk / "operation" / "tree")

    def stage() -> int:
        return shop.archive.stage(summary.manifest_key, "/none", staging, RestoreMode.REPLACE, shop.watch).kept

    killed("stage.after-segments", stage, 3)
    assert stage() >= 8 * MIB
    assert describe(Path(staging)).keys() == describe(tree).keys()
