"""A disk that is ill in one place, under a folder as store: a verdict, and never weather for ever."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from domain.errors import Damaged, KeyUnavailable, StoreUnavailable
from domain.restore import ManifestSummary, RestoreMode
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

    staging = str(shop.root / "staging" / "tree")
    staged = shop.archive.stage(made.manifest_key, str(shop.root / "none"), staging, RestoreMode.REPLACE, shop.watch)

    assert describe(Path(staged.path)) == describe(shop.tree)
    assert staged.read_from == "b" and "cannot be read" in staged.fault


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

    with pytest.raises(KeyUnavailable, match="cannot be read"):
        shop.archive.verify(made.manifest_key, VerifyLevel.HASH, shop.watch)


def test_no_second_key_is_made_while_a_manifest_cannot_be_read(shop: Shop, made: ManifestSummary, spoil: Spoil) -> None:
    """It may name the key that was lost."""
    shop.file(key_of("acme")).unlink()
    spoil(shop.file(made.manifest_key))

    with pytest.raises(Damaged, match="cannot be read"):
        shop.keys.obtain("acme")
    assert shop.store.size(key_of("acme")) is None
