"""A staged tree is read again before it goes live: whatever the disk made of it is noticed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import Refused
from domain.restore import RestoreMode, Staged
from storage.archive import syscalls
from tests.unit.storage_archive.workshop import Workshop, describe, plant

MIB = 1 << 20


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, encryption=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = plant(tmp_path / "app")
    try:
        os.setxattr(made / "text", "user.origin", b"upload")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
    return made


def verified(shop: Workshop, key: str, target: Path, mode: RestoreMode = RestoreMode.REPLACE) -> Staged:
    staging = str(shop.root / "staging" / "1" / "tree")
    return shop.archive.stage(key, str(target), staging, mode, shop.watch, verify=True)


@pytest.mark.parametrize("from_live", [False, True])
def test_what_reads_back_as_it_was_written_is_handed_over(shop: Workshop, tree: Path, from_live: bool) -> None:
    summary = shop.create(tree)
    staged = verified(shop, summary.manifest_key, tree if from_live else tree.parent / "none")
    assert (staged.reused > 0, staged.warnings) == (from_live, ())
    assert describe(Path(staged.path)) == describe(tree)


def test_what_was_set_differently_on_purpose_is_no_difference(shop: Workshop, tree: Path, tmp_path: Path) -> None:
    """RS-06, RS-17: the marker is gone, set-user-id is dropped, and what only the target has stays."""
    (tree / ".chowned").write_bytes(b"")
    (tree / "deep" / "program").chmod(0o4755)
    summary = shop.create(tree)
    (tree / "only here").write_bytes(b"mine")
    staged = verified(shop, summary.manifest_key, tree, RestoreMode.MERGE)
    assert staged.warnings == ("setuid or setgid was dropped: deep/program",)
    assert (Path(staged.path) / "only here").exists() and not (Path(staged.path) / ".chowned").exists()


def _flip(path: Path, offset: int) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _relink(path: Path) -> None:
    status = path.lstat()
    path.unlink()
    path.symlink_to("elsewhere")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _copy(path: Path) -> None:
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a bit of a big file": ("big", lambda path: _flip(path, 3_000_000)),
    "a bit of a small file": ("deep/er/file", lambda path: _flip(path, 69_999)),
    "a bit in a hole": ("sparse", lambda path: _flip(path, 700_000_000)),
    "bytes after the end": ("deep/program", lambda path: path.write_bytes(path.read_bytes() + b"x")),
    "a mode": ("deep/program", lambda path: path.chmod(0o755)),
    "a time": ("zero", lambda path: os.utime(path, ns=(1, 2))),
    "a directory's mode": ("empty", lambda path: path.chmod(0o755)),
    "where a link points": ("dangling", _relink),
    "a second name that became a file": ("deep/hard-link", _copy),
    "a missing file": ("-rf", Path.unlink),
    "a missing directory": ("empty", Path.rmdir),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_whatever_the_disk_made_of_it_is_named_and_the_tree_is_removed(
    shop: Workshop, tree: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I13: found before the target is touched."""
    name, damage = DAMAGES[what]
    summary = shop.create(tree)
    live = describe(tree)
    staging = shop.root / "staging" / "1"

    def lose(handle: int) -> None:
        damage(staging / "tree" / name)

    monkeypatch.setattr(syscalls, "sync_file_system", lose)
    with pytest.raises(Refused, match=name) as caught:
        verified(shop, summary.manifest_key, tree.parent / "none")
    assert caught.value.code == "restored-differently"
    assert describe(tree) == live
    assert list(staging.iterdir()) == []
