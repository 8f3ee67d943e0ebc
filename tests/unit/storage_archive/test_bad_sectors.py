"""A disk that is ill in one place, under a folder as store: a verdict, and never weather for ever."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import Damaged, KeyUnavailable, KeyUnreadable, StoreUnavailable
from domain.restore import ManifestSummary, RestoreMode, Staged
from domain.verification import VerifyLevel
from storage.archive import ReplicatedArchive
from storage.archive.tenant_keys import key_of
from storage.objects.file import FileStore
from storage.objects.memory import MemoryStore
from tests.unit.storage_archive.workshop import Workshop, describe

Spoil = Callable[..., None]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Makes a file unreadable from now on, for so many reads."""
    sound, ill = os.pread, dict[str, tuple[int, int]]()

    def pread(handle: int, length: int, offset: int) -> bytes:
        path = os.readlink(f"/proc/self/fd/{handle}")
        number, left = ill.get(path, (0, 0))
        if left:
            ill[path] = number, left - 1
            raise OSError(number, os.strerror(number))
        return sound(handle, length, offset)

    monkeypatch.setattr(os, "pread", pread)

    def spoilt(path: Path, number: int = errno.EIO, times: int = 1 << 30) -> None:
        ill[str(path)] = number, times

    return spoilt


class Shop(Workshop):
    """One snapshot of one tree, in a folder and in a replica."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, store=FileStore(str(root / "store")), cache=False, encryption=True)
        self.tree = root / "app"
        self.tree.mkdir()
        (self.tree / "data").write_bytes(os.urandom(100_000))
        copy = Workshop(root, store=MemoryStore(), cache=False, encryption=True, keyring=self.keyring)
        replicas = {"b": (copy.archive, copy.store)}
        self.archive = ReplicatedArchive(self.archive, self.store, self.keys, replicas, wait_for_copies=True)

    def restore(self, made: ManifestSummary) -> Staged:
        staging = str(self.root / "staging" / "tree")
        return self.archive.stage(made.manifest_key, str(self.root / "none"), staging, RestoreMode.REPLACE, self.watch)

    def file(self, key: str) -> Path:
        return self.root / "store" / key


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def made(shop: Shop) -> ManifestSummary:
    return shop.create(shop.tree)


@pytest.mark.parametrize("number", [errno.EIO, errno.EUCLEAN, errno.EBADMSG])
def test_a_pack_that_cannot_be_read_is_named(shop: Shop, made: ManifestSummary, spoil: Spoil, number: int) -> None:
    """CN-29"""
    spoil(shop.file(made.packs[0]), number)

    found = shop.archive.verify(made.manifest_key, VerifyLevel.HASH, shop.watch)

    assert [fault.key for fault in found.faults] == [made.packs[0]]
    assert os.strerror(number) in found.faults[0].sentence
    assert found.affected == ("data",)


@pytest.mark.parametrize("which", ["pack", "manifest"])
def test_what_cannot_be_read_comes_from_the_replica(
    shop: Shop, made: ManifestSummary, spoil: Spoil, which: str
) -> None:
    """FZ-11"""
    spoil(shop.file(made.packs[0] if which == "pack" else made.manifest_key))

    staged = shop.restore(made)

    assert describe(Path(staged.path)) == describe(shop.tree)
    assert staged.read_from == "b" and "cannot be read" in staged.fault and not staged.key_fault


def test_a_disk_that_answers_nothing_is_weather(
    shop: Shop, made: ManifestSummary, spoil: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have every snapshot on it called corrupt."""
    spoil(shop.file(made.packs[0]))

    def fail(handle: int) -> None:
        raise OSError(errno.EIO, "no answer")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(StoreUnavailable):
        shop.archive.verify(made.manifest_key, VerifyLevel.HASH, shop.watch)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_that_answers(
    shop: Shop, made: ManifestSummary, spoil: Spoil, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Else nobody would hear of the bad sector, and no replica be read, until there is room."""
    spoil(shop.file(made.packs[0]))

    def full(handle: int, data: object) -> int:
        raise OSError(number, "full")

    monkeypatch.setattr(os, "write", full)

    with pytest.raises(Damaged, match="cannot be read"):
        shop.store.get(made.packs[0])


def test_a_disk_that_has_become_read_only_shows_nothing_of_one_object(
    shop: Shop, made: ManifestSummary, spoil: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a file system answers whose disk is gone, and every snapshot on it would be called corrupt."""
    spoil(shop.file(made.packs[0]))

    def read_only(handle: int, data: object) -> int:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(os, "write", read_only)

    with pytest.raises(StoreUnavailable):
        shop.store.get(made.packs[0])


def test_trouble_that_has_passed_is_none(shop: Shop, made: ManifestSummary, spoil: Spoil) -> None:
    spoil(shop.file(made.packs[0]), times=1)

    assert shop.archive.verify(made.manifest_key, VerifyLevel.HASH, shop.watch).sound


def test_a_read_that_fails_for_another_reason_is_weather(shop: Shop, made: ManifestSummary, spoil: Spoil) -> None:
    spoil(shop.file(made.packs[0]), errno.ENOMEM)

    with pytest.raises(StoreUnavailable):
        shop.store.get(made.packs[0])


def test_a_tenants_key_that_cannot_be_read_damages_no_snapshot(shop: Shop, made: ManifestSummary, spoil: Spoil) -> None:
    """Each of the tenant's would be called corrupt for one sector."""
    spoil(shop.file(key_of("acme")))

    with pytest.raises(KeyUnreadable, match="cannot be read"):
        shop.archive.verify(made.manifest_key, VerifyLevel.HASH, shop.watch)


@pytest.mark.parametrize("how", ["sector", "emptied"])
def test_a_restore_takes_the_replica_for_a_key_that_cannot_be_read(
    shop: Shop, made: ManifestSummary, spoil: Spoil, how: str
) -> None:
    """FZ-11: it has key and snapshot."""
    key = shop.file(key_of("acme"))
    spoil(key) if how == "sector" else key.write_bytes(b"")

    staged = shop.restore(made)

    assert describe(Path(staged.path)) == describe(shop.tree)
    assert (staged.read_from, staged.key_fault) == ("b", True)
    assert shop.archive.read(made.manifest_key) == made


def test_a_replica_opens_nothing_whose_key_was_destroyed(shop: Shop, made: ManifestSummary) -> None:
    """Though it was away then, and has the key still."""
    shop.keys.destroy("acme")

    with pytest.raises(KeyUnavailable) as refused:
        shop.restore(made)

    assert refused.value.code == "key-destroyed"


def test_no_second_key_is_made_while_a_manifest_cannot_be_read(shop: Shop, made: ManifestSummary, spoil: Spoil) -> None:
    """It may name the key that was lost."""
    shop.file(key_of("acme")).unlink()
    spoil(shop.file(made.manifest_key))

    with pytest.raises(Damaged, match="cannot be read"):
        shop.keys.obtain("acme")
    assert shop.store.size(key_of("acme")) is None
