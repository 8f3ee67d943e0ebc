"""What only a folder must promise: order of effects, modes, temporary files."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Refused, StoreUnavailable
from storage.objects.file import TEMPORARY, FileStore
from storage.store import open_store
from tests.dying import dying


@pytest.fixture
def effects(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the store does to the disk, in order; folders and files by their last name."""
    seen: list[str] = []

    def watch(name: str, describe: Callable[..., str]) -> None:
        real = getattr(os, name)

        def call(*arguments: Any, **options: Any) -> Any:
            text = describe(*arguments)
            found = real(*arguments, **options)
            seen.append(text)
            return found

        monkeypatch.setattr(os, name, call)

    watch("fsync", lambda handle: f"fsync {_kind(handle)}")
    watch("rename", lambda source, target: f"name {Path(target).name}")
    watch("link", lambda source, target: f"name {Path(target).name}")
    watch("mkdir", lambda path, mode=0: f"mkdir {Path(path).name}")
    watch("write", lambda handle, data: "write")
    watch("unlink", lambda path: f"unlink {_place(path)}")
    return seen


def _kind(handle: int) -> str:
    path = Path(os.readlink(f"/proc/self/fd/{handle}"))
    return f"folder {path.name}" if path.is_dir() else "file"


def _place(path: str) -> str:
    return "temporary" if TEMPORARY in path else Path(path).name


@pytest.mark.parametrize("how", ["put", "create"])
def test_the_data_is_on_disk_before_its_name_and_the_name_before_the_answer(
    tmp_path: Path, effects: list[str], how: str
) -> None:
    """Each of these steps was shown to be necessary by generating every state after a power cut."""
    store = FileStore(str(tmp_path / "store"))
    store.put("a/b/first", [b"x"])
    effects.clear()

    getattr(store, how)("a/b/second", [b"x"])

    durable = [effect for effect in effects if not effect.startswith("unlink temporary")]
    assert durable == ["write", "fsync file", "name second", "fsync folder b"]


def test_every_new_folder_is_on_disk_in_the_one_above_it(tmp_path: Path, effects: list[str]) -> None:
    FileStore(str(tmp_path / "new" / "store")).put("a/b/pack", [b"x"])

    made = [effect for effect in effects if effect.startswith(("mkdir", "fsync folder"))]
    top = tmp_path.name
    assert made[:6] == [
        "mkdir new",
        f"fsync folder {top}",
        "mkdir store",
        "fsync folder new",
        f"mkdir {TEMPORARY}",
        "fsync folder store",
    ]
    assert made[-5:] == ["mkdir a", "fsync folder store", "mkdir b", "fsync folder a", "fsync folder b"]


def test_a_failed_fsync_fails_the_object_and_leaves_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(tmp_path))
    store.put("a/first", [b"x"])

    def fail(handle: int) -> None:
        raise OSError(errno.EIO, "the disk is ill")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreUnavailable, match="write a/second"):
        store.put("a/second", [b"x"])

    assert store.size("a/second") is None
    assert not list((tmp_path / TEMPORARY).iterdir())


def test_a_full_disk_is_weather_and_a_forbidden_folder_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(tmp_path))

    def fail_with(number: int) -> Callable[..., int]:
        def fail(*_: Any) -> int:
            raise OSError(number, os.strerror(number))

        return fail

    monkeypatch.setattr(os, "write", fail_with(errno.ENOSPC))
    with pytest.raises(StoreUnavailable, match="No space left"):
        store.put("a", [b"x"])
    monkeypatch.setattr(os, "write", fail_with(errno.EACCES))
    with pytest.raises(Refused, match="Permission denied"):
        store.put("a", [b"x"])


def test_nobody_else_may_read_what_is_stored(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path / "store"))
    store.put("a/pack", [b"x"])

    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "store").rglob("*")}
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    assert modes == {0o700, 0o600}


def test_what_a_killed_writer_left_is_invisible_and_swept_when_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RS-13"""
    store = FileStore(str(tmp_path))
    store.put("a/first", [b"x"])
    left = tmp_path / TEMPORARY / "0123"
    left.write_bytes(b"half a pa")
    os.utime(left, (1_000_000_000, 1_000_000_000))
    fresh = tmp_path / TEMPORARY / "4567"
    fresh.write_bytes(b"still being writt")

    assert [info.key for info in store.list("")] == ["a/first"]
    assert store.sweep(3600) == 1
    assert fresh.exists() and not left.exists()


def test_a_writer_that_is_stopped_before_the_name_leaves_the_old_object(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    store.put("a", [b"old"])

    with dying("object.before-put"):
        store.put("a", [b"new"])

    assert store.get("a") == b"old"


def test_old_empty_folders_are_swept_and_full_ones_are_not(tmp_path: Path) -> None:
    store = FileStore(str(tmp_path))
    store.put("packs/1/a", [b"x"])
    store.put("packs/2/b", [b"x"])
    store.delete(["packs/1/a"])
    for folder in ("packs/1", "packs/2"):
        os.utime(tmp_path / folder, (1_000_000_000, 1_000_000_000))

    store.sweep(3600)

    assert sorted(path.name for path in (tmp_path / "packs").iterdir()) == ["2"]
    assert store.get("packs/2/b") == b"x"


def test_a_put_whose_empty_folder_is_swept_under_it_succeeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FileStore(str(tmp_path))
    store.put("p/1/pack", [b"x"])
    store.delete(["p/1/pack"])
    swept: list[str] = []
    real = os.rename

    def rename_after_a_sweep(source: str, target: str) -> None:
        if not swept:
            os.rmdir(os.path.dirname(target))
            swept.append(target)
        real(source, target)

    monkeypatch.setattr(os, "rename", rename_after_a_sweep)
    store.put("p/1/pack", [b"y"])

    assert swept and store.get("p/1/pack") == b"y"


@pytest.mark.parametrize(
    "url", ["file://relative/path", "file:///", "file:///a?b=c", "gopher://x", "file", "memory://", "memory://a/b"]
)
def test_a_wrong_store_url_is_refused_with_what_would_be_right(url: str) -> None:
    with pytest.raises(Refused) as caught:
        open_store(url)

    assert caught.value.code == "bad-store-url"
