"""Files with several names in a tree that moves while it is read: who is a further name of whom."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.archive.beneath import READ_FILE
from storage.archive.feeder import AHEAD
from tests.unit.storage_archive.workshop import Workshop


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """`a/mail` has a further name that is not in the tree; behind it are more files than are opened ahead."""
    made = tmp_path / "app"
    for folder in ("a", "m", "z"):
        (made / folder).mkdir(parents=True)
    (made / "a" / "mail").write_bytes(b"message one")
    os.link(made / "a" / "mail", tmp_path / "elsewhere")
    for number in range(AHEAD + 2):
        (made / "m" / f"{number:03}").write_bytes(b"%d" % number)
    return made


def _staged(root: Path, tree: Path, meanwhile: Callable[[], None]) -> Path:
    """What a snapshot restores to; `meanwhile` runs once `a/mail` was read and before `z` is listed."""
    shop = Workshop(root)

    def opener(name: bytes, directory: int) -> int:
        if name == b"%03d" % (AHEAD + 1):
            meanwhile()
        return os.open(name, READ_FILE, dir_fd=directory)

    shop._open = opener  # type: ignore[method-assign]
    shop.__post_init__()
    summary = shop.create(tree)
    assert summary.skipped == () and summary.unstable == ()
    return Path(shop.stage(summary).path)


def _rewrite(path: Path, content: bytes) -> None:
    """In place, a second later, as far as anybody can tell."""
    before = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))


def test_another_file_that_got_the_inode_of_one_that_is_gone_is_read_for_itself(tmp_path: Path, tree: Path) -> None:
    """The names of `a/mail` were removed and its inode was used again, for a new message with two names."""

    def meanwhile() -> None:
        os.rename(tmp_path / "elsewhere", tree / "z" / "new")
        os.link(tree / "z" / "new", tree / "z" / "newer")
        os.unlink(tree / "a" / "mail")
        _rewrite(tree / "z" / "new", b"message two, another one")

    staged = _staged(tmp_path, tree, meanwhile)

    assert (staged / "a" / "mail").read_bytes() == b"message one"
    assert (staged / "z" / "new").read_bytes() == b"message two, another one"
    assert os.path.samefile(staged / "z" / "new", staged / "z" / "newer")
    assert not os.path.samefile(staged / "a" / "mail", staged / "z" / "new")


def test_a_file_that_is_written_to_between_two_of_its_names_keeps_both(tmp_path: Path, tree: Path) -> None:
    def meanwhile() -> None:
        os.rename(tmp_path / "elsewhere", tree / "z" / "log")
        _rewrite(tree / "a" / "mail", b"message one and a line more")

    staged = _staged(tmp_path, tree, meanwhile)

    assert os.path.samefile(staged / "a" / "mail", staged / "z" / "log")
    assert (staged / "z" / "log").read_bytes() == b"message one"
