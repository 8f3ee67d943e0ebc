"""The life of a tenant's key: made once, wrapped anew, destroyed for good; killed or raced at every point."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from domain import failpoint
from domain.errors import Refused
from storage.archive.tenant_keys import TenantKeys
from storage.objects.memory import MemoryStore
from storage.sealing import KeyRing
from storage.store import open_store
from tests.dying import dying
from tests.unit.storage_archive.workshop import Workshop, describe, row_of

OLD, NEW = KeyRing.generate_text("old"), KeyRing.generate_text("new")
BOTH = f"{NEW},{OLD}"


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    (made / "file").write_bytes(b"content" * 1000)
    return made


def _keys(store: MemoryStore, ring: str = OLD) -> TenantKeys:
    return TenantKeys(store, KeyRing.parse(ring))


def test_of_several_nodes_that_make_a_key_at_once_the_first_put_decides(tmp_path: Path) -> None:
    """Everything that was sealed meanwhile opens with the one key that is in the store."""
    url, found, start = f"file://{tmp_path}/store", [], threading.Barrier(4)

    def node() -> None:
        keys = TenantKeys(open_store(url), KeyRing.parse(OLD))
        start.wait()
        found.append(keys.obtain("acme").naming)

    threads = [threading.Thread(target=node) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 4 and len(set(found)) == 1


@pytest.mark.parametrize("point", ["tenant-key.before-create", "tenant-key.after-create"])
def test_killed_while_making_it_there_is_one_key_or_none(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    with dying(point):
        _keys(store).obtain("acme")

    first = _keys(store).obtain("acme")
    assert _keys(store).obtain("acme").naming == first.naming


def test_after_wrapping_anew_the_old_ring_key_is_not_needed_and_no_other_object_has_changed(
    tmp_path: Path, tree: Path
) -> None:
    """Rotation without rewriting a pack; the configuration inside opens too."""
    store = MemoryStore()
    old = Workshop(tmp_path, store=store, keyring=KeyRing.parse(OLD), encryption=True)
    summary = old.create(tree, configuration={"env": {"A": "1"}})
    before = dict(store.objects)

    assert _keys(store, BOTH).look("acme").ring_key == "old"
    assert _keys(store, BOTH).rewrap("acme")
    assert not _keys(store, BOTH).rewrap("acme")

    new = Workshop(tmp_path / "new", store=store, keyring=KeyRing.parse(NEW), encryption=True)
    assert _keys(store, NEW).look("acme").ring_key == "new"
    assert {key for key in before if store.objects[key] != before[key]} == {"tenants/acme/key"}
    assert new.archive.read(summary.manifest_key) == summary
    assert describe(Path(new.stage(summary).path)) == describe(tree)
    child = new.create(tree, "s2", parent=row_of(summary), configuration={"env": {"A": "1"}})
    assert (child.parent_id, child.root_digest) == ("s1", summary.root_digest)


@pytest.mark.parametrize("point", ["tenant-key.before-rewrap", "tenant-key.after-rewrap"])
def test_killed_while_wrapping_anew_the_key_opens_and_it_can_be_repeated(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    before = _keys(store).obtain("acme").naming
    with dying(point):
        _keys(store, BOTH).rewrap("acme")

    assert _keys(store, BOTH).load("acme").naming == before
    _keys(store, BOTH).rewrap("acme")
    assert _keys(store, NEW).load("acme").naming == before


def test_without_the_key_that_wraps_it_nothing_is_wrapped_anew(store: MemoryStore) -> None:
    _keys(store).obtain("acme")
    before = dict(store.objects)

    with pytest.raises(Refused) as refused:
        _keys(store, NEW).rewrap("acme")
    assert refused.value.code == "unknown-key" and store.objects == before


def test_a_destroyed_key_opens_nothing_whatever_copies_there_are(tmp_path: Path, tree: Path) -> None:
    """FZ-24: not with the local cache, not by a process that had read the snapshot, not when the key comes back."""
    shop = Workshop(tmp_path, encryption=True)
    summary = shop.create(tree)
    shop.archive.read(summary.manifest_key)
    copy = shop.objects["tenants/acme/key"]

    assert shop.keys.destroy("acme") == shop_key_id(copy)
    assert shop.keys.destroy("acme") is None
    for there in (shop, Workshop(tmp_path, store=shop.store, keyring=shop.keyring, encryption=True)):
        with pytest.raises(Refused, match="there is no key"):
            there.stage(summary)
        with pytest.raises(Refused, match="there is no key"):
            there.archive.read(summary.manifest_key)
    shop.objects["tenants/acme/key"] = copy
    with pytest.raises(Refused, match="destroyed"):
        shop.archive.read(summary.manifest_key)


def shop_key_id(blob: bytes) -> str:
    return blob[8:16].hex()


def test_after_a_destruction_the_next_snapshot_has_a_new_key_and_shares_nothing(tmp_path: Path, tree: Path) -> None:
    shop = Workshop(tmp_path, encryption=True)
    first = shop.create(tree)
    shop.keys.destroy("acme")
    second = shop.create(tree, "s2", parent=row_of(first))

    assert second.parent_id is None and not set(first.packs) & set(second.packs)
    assert describe(Path(shop.stage(second).path)) == describe(tree)
    with pytest.raises(Refused, match="which is no more"):
        shop.archive.read(first.manifest_key)


def test_a_key_that_is_destroyed_while_a_snapshot_is_taken_ends_it_without_success(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(tmp_path, encryption=True)

    def destroy(point: str) -> None:
        if point == "archive.before-publish":
            shop.keys.destroy("acme")

    monkeypatch.setattr(failpoint, "hook", destroy)
    with pytest.raises(Refused) as refused:
        shop.create(tree)
    assert refused.value.code == "key-destroyed"


@pytest.mark.parametrize("point", ["tenant-key.before-destroy", "tenant-key.after-mark", "tenant-key.after-destroy"])
def test_killed_while_destroying_it_is_whole_or_gone_and_repeating_ends_it(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    shop = Workshop(tmp_path, encryption=True)
    summary = shop.create(tree)
    with dying(point):
        shop.keys.destroy("acme")

    if point == "tenant-key.before-destroy":
        assert shop.archive.read(summary.manifest_key) == summary
    else:
        with pytest.raises(Refused, match="destroyed"):
            shop.archive.read(summary.manifest_key)
    shop.keys.destroy("acme")
    assert "tenants/acme/key" not in shop.objects


@pytest.mark.parametrize("point", ["tenant-key.before-rewrap", "tenant-key.after-rewrap"])
def test_destroying_wins_over_wrapping_anew_at_the_same_time(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    _keys(store).obtain("acme")

    def destroy(passed: str) -> None:
        if passed == point:
            monkeypatch.setattr(failpoint, "hook", lambda point: None)
            _keys(store).destroy("acme")

    monkeypatch.setattr(failpoint, "hook", destroy)
    with pytest.raises(Refused, match="destroyed"):
        _keys(store, BOTH).rewrap("acme")
    assert "tenants/acme/key" not in store.objects


def test_a_key_that_the_store_has_lost_gets_no_successor_before_somebody_gives_it_up(
    tmp_path: Path, tree: Path
) -> None:
    """The next snapshot made a new key in its place: bringing the old one back cost what was sealed meanwhile."""
    shop = Workshop(tmp_path, encryption=True)
    first = shop.create(tree)
    lost = shop.objects.pop("tenants/acme/key")

    with pytest.raises(Refused) as refused:
        shop.create(tree, "s2")
    assert refused.value.code == "key-lost" and "tenants/acme/key" not in shop.objects
    shop.objects["tenants/acme/key"] = lost
    assert shop.archive.read(first.manifest_key) == first
    del shop.objects["tenants/acme/key"]

    assert shop.keys.destroy("acme") == shop_key_id(lost)
    shop.create(tree, "s2")
    shop.objects["tenants/acme/key"] = lost
    with pytest.raises(Refused, match="destroyed"):
        shop.archive.read(first.manifest_key)


def test_a_destruction_that_was_interrupted_says_how_it_is_ended(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It told to bring the key back from a copy, and no snapshot could be taken."""
    _keys(store).obtain("acme")
    with dying("tenant-key.after-mark"):
        _keys(store).destroy("acme")

    with pytest.raises(Refused) as refused:
        _keys(store).obtain("acme")
    assert "keys destroy --tenant acme" in refused.value.next_step
    _keys(store).destroy("acme")
    _keys(store).obtain("acme")


@pytest.mark.parametrize("point", ["tenant-key.after-mark", "tenant-key.before-rewrap"])
def test_who_comes_late_leaves_the_key_alone_that_was_made_since(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A second destruction, or wrapping anew, that was paused while the first key was destroyed and one was made."""
    _keys(store).obtain("acme")

    def overtaken(passed: str) -> None:
        if passed == point:
            monkeypatch.setattr(failpoint, "hook", lambda point: None)
            _keys(store).destroy("acme")
            made.append(_keys(store).obtain("acme").naming)

    made: list[bytes] = []
    monkeypatch.setattr(failpoint, "hook", overtaken)
    if point == "tenant-key.after-mark":
        _keys(store).destroy("acme")
    else:
        with pytest.raises(Refused, match="destroyed"):
            _keys(store, BOTH).rewrap("acme")
    assert [_keys(store).load("acme").naming] == made


def test_a_node_that_made_a_key_while_the_first_was_destroyed_makes_a_second(store: MemoryStore) -> None:
    first = _keys(store).obtain("acme")
    _keys(store).destroy("acme")

    assert _keys(store).obtain("acme").naming != first.naming
    assert list(_keys(store).tenants()) == ["acme"]


@pytest.mark.parametrize(
    "blob", [b"", b"BKSTKEY\x01", b"BKSTKEY\x02" + bytes(80), b"BKSTKEY\x01" + bytes(80), b"x" * 80, b"x" * 5000]
)
def test_what_is_no_key_is_refused_and_never_replaced(store: MemoryStore, blob: bytes) -> None:
    """A second key would make the first one's snapshots look damaged."""
    store.objects["tenants/acme/key"] = blob

    for call in (_keys(store).obtain, _keys(store).load, _keys(store).rewrap):
        with pytest.raises(Refused) as refused:
            call("acme")
        assert refused.value.code == "key-unreadable"
    assert store.objects == {"tenants/acme/key": blob}
