"""Sealed snapshots: what the store shows, who can read them, and what exchanged or changed objects achieve."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from domain.errors import BackstayError, Damaged, Refused
from domain.restore import ManifestSummary
from domain.verification import VerifyLevel
from storage.archive import digest, published
from storage.archive.cache import Cache
from storage.archive.layout import ENVELOPE_MAGIC, PACK_MAGIC
from storage.archive.pack import FOOTER_BYTES, index_bytes
from storage.sealing import KeyRing
from tests.unit.storage_archive.workshop import Workshop, describe, plant, row_of

MARKER = b"MARKER-c0ffee"


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, encryption=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    (made / "marker").write_bytes(MARKER * 7)
    (made / MARKER.decode()).write_bytes(os.urandom(50_000))
    (made / "link").symlink_to(MARKER.decode())
    (made / "big").write_bytes(b"%s in a big file " % MARKER * 100_000)
    return made


def _other(shop: Workshop, **options: object) -> Workshop:
    """The same store seen by another process."""
    return Workshop(shop.root / "other", store=shop.store, encryption=True, **options)  # type: ignore[arg-type]


def _packs(shop: Workshop) -> list[str]:
    return sorted(key for key in shop.objects if "/packs/" in key)


# ---------------------------------------------------------------- what can be seen
def test_a_sealed_tree_comes_back_equal_and_so_does_its_successor(shop: Workshop, tmp_path: Path) -> None:
    """RS-05, FZ-24: every kind of entry, without the maker's cache, by another node with the same ring."""
    made = tmp_path / "planted"
    made.mkdir()
    plant(made)
    first = shop.create(made, configuration={"env": {"A": "1"}})
    before = describe(made)
    (made / "text").write_bytes(b"changed" * 300_000)
    second = shop.create(made, "s2", parent=row_of(first))
    there = _other(shop, keyring=shop.keyring)

    assert describe(Path(there.stage(first, name="1").path)) == before
    assert describe(Path(there.stage(second, name="2").path)) == describe(made)
    assert there.archive.read(first.manifest_key).configuration == {"env": {"A": "1"}}
    assert second.parent_id == "s1" and set(first.packs) < set(second.packs)


def test_nothing_in_the_store_or_in_the_cache_tells_content_names_labels_or_digests(shop: Workshop, tree: Path) -> None:
    """FZ-24, I18"""
    summary = shop.create(tree, configuration={"env": {"A": MARKER.decode()}})
    (tree / "marker").write_bytes(MARKER * 9)
    shop.create(tree, "s2", parent=row_of(summary))
    copies = [path.read_bytes() for path in (shop.root / "cache").rglob("*") if path.is_file()]

    assert len(copies) >= 2 and len(shop.objects) >= 4
    for data in [*shop.objects.values(), *copies]:
        for secret in (MARKER, b"reason", b"marker", summary.root_digest.encode(), bytes.fromhex(summary.root_digest)):
            assert secret not in data


def test_the_same_file_has_other_names_and_other_bytes_under_another_tenants_key(shop: Workshop, tree: Path) -> None:
    first, second = shop.keys.obtain("acme"), shop.keys.obtain("other")

    assert first.naming != second.naming and first.key_id != second.key_id
    assert first.seal(b"x", b"") != first.seal(b"x", b"")


# ---------------------------------------------------------------- who can read
def test_with_another_ring_nothing_is_read_and_nothing_is_staged(shop: Workshop, tree: Path) -> None:
    """FZ-24: wrong key, and no key, are refused before the target changes; neither is called damage."""
    summary = shop.create(tree)
    target = shop.root / "target"
    target.mkdir()
    for text, code in ((KeyRing.generate_text("k1"), "wrong-key"), (KeyRing.generate_text("k9"), "unknown-key")):
        stranger = _other(shop, keyring=KeyRing.parse(text))
        calls: list[Callable[[], object]] = [
            partial(stranger.stage, summary),
            partial(stranger.archive.read, summary.manifest_key),
            partial(stranger.archive.verify, summary.manifest_key, VerifyLevel.HASH, stranger.watch),
            partial(stranger.create, tree, "s2", parent=row_of(summary)),
        ]
        for call in calls:
            with pytest.raises(Refused) as refused:
                call()
            assert refused.value.code == code
        assert not (stranger.root / "staging").exists()


def test_without_the_tenants_key_object_a_sealed_snapshot_is_refused(shop: Workshop, tree: Path) -> None:
    """FZ-24: no key -> refused."""
    summary = shop.create(tree)
    del shop.objects["tenants/acme/key"]

    with pytest.raises(Refused) as refused:
        shop.stage(summary)
    assert refused.value.code == "key-destroyed"


def test_a_sealed_snapshot_is_read_by_a_node_that_does_not_seal(shop: Workshop, tree: Path) -> None:
    summary = shop.create(tree)
    plain = Workshop(shop.root / "plain", store=shop.store)

    assert describe(Path(plain.stage(summary).path)) == describe(tree)


def test_verifying_names_what_is_damaged_in_a_sealed_snapshot(shop: Workshop, tree: Path) -> None:
    """RS-16: by the file; the table that says so is sealed too."""
    summary = shop.create(tree)
    data = bytearray(shop.objects[summary.packs[0]])
    data[100] ^= 1
    shop.objects[summary.packs[0]] = bytes(data)

    found = shop.archive.verify(summary.manifest_key, VerifyLevel.HASH, shop.watch)
    assert found.faults and found.affected


# ---------------------------------------------------------------- chains of both kinds
@pytest.mark.parametrize("sealed_first", [False, True])
def test_a_chain_that_changes_between_plain_and_sealed_shares_nothing(
    shop: Workshop, tree: Path, sealed_first: bool
) -> None:
    """What a sealed snapshot holds must not stay readable in a plain pack; and the reverse opens for nobody."""
    kinds = [Workshop(shop.root / f"kind-{n}", store=shop.store, encryption=n == sealed_first) for n in (True, False)]
    parent = kinds[0].create(tree, "s1")
    child = kinds[1].create(tree, "s2", parent=row_of(parent))
    third = kinds[1].create(tree, "s3", parent=row_of(child))

    assert child.parent_id is None and not set(child.packs) & set(parent.packs)
    assert third.parent_id == "s2" and third.packs == child.packs
    for number, summary in enumerate((parent, child, third)):
        assert describe(Path(shop.stage(summary, name=str(number)).path)) == describe(tree)


# ---------------------------------------------------------------- exchanged and changed objects
def _swap(shop: Workshop, one: str, other: str) -> None:
    shop.objects[one], shop.objects[other] = shop.objects[other], shop.objects[one]


def test_objects_that_change_places_do_not_open(shop: Workshop, tree: Path) -> None:
    """FZ-24, CN-14: equal in size and sealed with the same key, but not made for this place."""
    (tree / "marker").write_bytes(os.urandom(4000))
    first = shop.create(tree, "s1")
    (tree / "marker").write_bytes(os.urandom(4000))
    second = shop.create(tree, "s2")
    packs = _packs(shop)
    assert len(packs) == 2

    _swap(shop, first.manifest_key, second.manifest_key)
    with pytest.raises(Damaged, match="not in its place"):
        shop.stage(first)
    _swap(shop, first.manifest_key, second.manifest_key)
    _swap(shop, *packs)
    with pytest.raises(Damaged):
        shop.stage(first)
    index = published.Indexes(shop.store, "tenants/acme/packs/", _no_cache(), shop.keys.load("acme"))
    name = packs[0].removeprefix("tenants/acme/packs/")
    with pytest.raises(Damaged):
        index.load(name, len(shop.objects[packs[0]]))


def test_segments_that_change_places_in_a_pack_do_not_open(shop: Workshop, tmp_path: Path) -> None:
    """FZ-24: equal in length, sealed with the same key, in the same pack; bound to what they hold."""
    made = tmp_path / "noise"
    made.mkdir()
    for number in range(10):
        (made / f"{number}").write_bytes(os.urandom(1_000_000))
    summary = shop.create(made)
    (key,) = summary.packs
    rows = published.read_manifest(shop.objects[summary.manifest_key], summary.manifest_key, shop.keys).tree.segments
    (size,) = {int(row["stored"]) for row in rows}
    data = bytearray(shop.objects[key])
    first, second = (slice(int(row["offset"]), int(row["offset"]) + size) for row in rows)
    data[first], data[second] = data[second], data[first]
    shop.objects[key] = bytes(data)

    with pytest.raises(Damaged, match="belongs to something else"):
        shop.stage(summary)


def test_an_envelope_with_a_changed_clear_part_does_not_open(shop: Workshop, tree: Path) -> None:
    summary = shop.create(tree)
    blob = shop.objects[summary.manifest_key]
    assert blob.count(b'"web"') == 1

    renamed = blob.replace(b'"web"', b'"wob"')[:-32]
    place = summary.manifest_key.replace("/web/", "/wob/")
    shop.objects[place] = renamed + digest.full(renamed)
    with pytest.raises(Damaged, match="sealed part was changed"):
        shop.archive.read(place)


def test_a_plain_pack_in_the_place_of_a_sealed_one_is_refused(shop: Workshop, tree: Path) -> None:
    summary = shop.create(tree)
    plain = Workshop(shop.root / "plain")
    plain.create(tree)
    key = summary.packs[0]
    (data,) = (plain.objects[name] for name in _packs(plain))
    assert data.startswith(PACK_MAGIC)
    shop.objects[key] = data + bytes(max(0, len(shop.objects[key]) - len(data)))

    with pytest.raises(BackstayError):
        shop.stage(summary)


@pytest.mark.parametrize("encryption", [True, False])
def test_a_flip_anywhere_in_any_object_is_found_before_the_target_changes(
    tmp_path: Path, tree: Path, encryption: bool
) -> None:
    """RS-16, CN-12: each region of each class of object, then cut at the same places; the target is as it was."""
    shop = Workshop(tmp_path, encryption=encryption)
    summary = shop.create(tree, configuration={"env": {"A": "1"}})
    target = shop.root / "target"
    target.mkdir()
    (target / "live").write_bytes(b"as it was")
    before, whole = describe(target), dict(shop.objects)
    needed = {summary.manifest_key, *summary.packs} | ({"tenants/acme/key"} if encryption else set())
    assert needed == set(whole)

    for key in sorted(needed):
        for damage in _damages(whole[key]):
            shop.objects[key] = damage
            if _restores_equal(shop, summary, target, tree):
                # Magic and index of a pack serve the next snapshot only, which finds the damage and shares nothing.
                # Of a plain segment only the content counts: zstd has header bits that change nothing of it.
                assert "/packs/" in key
                assert (
                    damage[:8] != whole[key][:8]
                    or (not encryption and _changed_at(damage, whole[key]) < _index_starts(whole[key]))
                    or _index_is_refused(shop, key, len(whole[key]))
                )
            assert describe(target) == before
            assert not (shop.root / "staging" / "1" / "tree").exists()
        shop.objects[key] = whole[key]
    assert _restores_equal(shop, summary, target, tree)


def _damages(whole: bytes) -> list[bytes]:
    """One bit of each region, of every byte of both ends; and cut in some of these places."""
    step = max(1, len(whole) // 40)
    places = sorted({*range(0, len(whole), step), *range(min(16, len(whole))), *range(len(whole) - 60, len(whole))})
    flipped = [whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :] for at in places]
    return flipped + [whole[:at] for at in places[:: len(places) // 6]]


def _restores_equal(shop: Workshop, summary: ManifestSummary, target: Path, tree: Path) -> bool:
    try:
        shop.archive.read(summary.manifest_key)
        staged = shop.stage(summary, target=target)
    except (Damaged, Refused):
        return False
    assert describe(Path(staged.path)) == describe(tree)
    shutil.rmtree(staged.path)
    return True


def _changed_at(damage: bytes, whole: bytes) -> int:
    return next((at for at, (one, other) in enumerate(zip(damage, whole, strict=False)) if one != other), len(damage))


def _index_starts(whole: bytes) -> int:
    return len(whole) - index_bytes(whole[-FOOTER_BYTES:], len(whole))


def _index_is_refused(shop: Workshop, key: str, size: int) -> bool:
    opened_with = shop.keys.load("acme") if shop.encryption else None
    indexes = published.Indexes(shop.store, "tenants/acme/packs/", _no_cache(), opened_with)
    with pytest.raises(Damaged):
        indexes.load(key.removeprefix("tenants/acme/packs/"), size)
    return True


def _no_cache() -> Cache:
    return Cache(None, "acme", "web")


@pytest.mark.parametrize(
    "clear",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"[" * 4000,
        b'{"format":2}',
        b'{"format":2,"snapshot_id":1}',
        b"\xff",
    ],
)
def test_whatever_stands_in_the_clear_part_is_damage_and_no_crash(shop: Workshop, clear: bytes) -> None:
    place = shop.archive.manifest_key("acme", "web", "s1")
    body = ENVELOPE_MAGIC + struct.pack("<I", len(clear)) + clear + bytes(100)
    shop.objects[place] = body + digest.full(body)

    with pytest.raises(Damaged):
        shop.archive.read(place)
