"""One archive over a primary store and replicas: copies are whole, and stand in for the primary."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain import failpoint
from domain.contracts import Garbage
from domain.errors import Damaged, KeyUnavailable, ObjectMissing, Refused, StoreUnavailable
from domain.restore import ManifestSummary, RestoreMode
from domain.verification import VerifyLevel
from storage.archive import ReplicatedArchive, TenantKeys, open_archive
from storage.objects.memory import MemoryStore
from storage.sealing import KeyRing
from tests.dying import dying
from tests.unit.storage_archive.workshop import KEYS, QuietWatch, Workshop, describe


class Several:
    """A primary, sealed, and the replicas `b` and `c`."""

    def __init__(self, root: Path, *, policy: str = "all") -> None:
        self.primary, self.b, self.c = MemoryStore(), MemoryStore(), MemoryStore()
        self.shop = Workshop(root, store=self.primary, encryption=True, cache=False)
        ring = KeyRing.parse(KEYS)
        replicas = {
            name: (open_archive(store, ring, threads=1), store) for name, store in (("b", self.b), ("c", self.c))
        }
        self.archive = ReplicatedArchive(
            self.shop.archive, self.primary, self.shop.keys, replicas, wait_for_copies=policy == "all"
        )
        self.shop.archive = self.archive

    @property
    def stores(self) -> list[MemoryStore]:
        return [self.primary, self.b, self.c]

    def copy(self, summary: ManifestSummary, name: str = "b", *, anew: bool = False) -> int:
        return self.archive.copy(name, summary.manifest_key, lambda: None, anew=anew)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "a").write_bytes(b"a" * 100_000)
    (root / "b").write_text("something else")
    return root


def flip(store: MemoryStore, key: str, at: int = 40) -> None:
    data = bytearray(store.objects[key])
    data[at] ^= 1
    store.objects[key] = bytes(data)


def down(store: MemoryStore, calls: tuple[str, ...] = (), key: str = "") -> None:
    """Every call fails, or these on keys that end so."""

    def fault(call: str, name: str) -> None:
        if (not calls or call in calls) and name.endswith(key):
            raise StoreUnavailable("the store is away")

    store.fault = fault


def test_under_the_policy_all_every_store_holds_the_same_objects(tmp_path: Path, tree: Path) -> None:
    """FZ-11, its first half."""
    several = Several(tmp_path)
    several.shop.create(tree)
    assert several.primary.objects == several.b.objects == several.c.objects
    assert len(several.primary.objects) == 3  # manifest, pack, key


@pytest.mark.parametrize("left", [0, 1, 2])
def test_whichever_store_is_left_the_snapshot_is_restored(tmp_path: Path, tree: Path, left: int) -> None:
    """FZ-11."""
    several = Several(tmp_path)
    made = several.shop.create(tree)
    for number, store in enumerate(several.stores):
        if number != left:
            store.objects.clear()
    staged = several.shop.stage(made)
    assert describe(Path(staged.path)) == describe(tree)
    assert staged.read_from == ("", "b", "c")[left]
    assert bool(staged.fault) == (left != 0)


@pytest.mark.parametrize("damage", ["pack", "manifest"])
def test_a_damaged_object_is_read_from_a_replica_that_has_it_whole(tmp_path: Path, tree: Path, damage: str) -> None:
    """RS-10 and FZ-11: not only what is missing."""
    several = Several(tmp_path)
    made = several.shop.create(tree)
    key = made.packs[0] if damage == "pack" else made.manifest_key
    flip(several.primary, key)
    flip(several.b, key)
    staged = several.shop.stage(made)
    assert staged.read_from == "c"
    assert describe(Path(staged.path)) == describe(tree)


def test_where_no_store_has_it_whole_the_primarys_trouble_is_told(tmp_path: Path, tree: Path) -> None:
    several = Several(tmp_path)
    made = several.shop.create(tree)
    del several.primary.objects[made.packs[0]]
    for store in (several.b, several.c):
        flip(store, made.packs[0])
    with pytest.raises(ObjectMissing, match="not in the store"):
        several.shop.stage(made)


def test_a_primary_that_does_not_answer_is_waited_for(tmp_path: Path, tree: Path) -> None:
    several = Several(tmp_path)
    made = several.shop.create(tree)
    down(several.primary)
    with pytest.raises(StoreUnavailable):
        several.shop.stage(made)


@pytest.mark.parametrize(("call", "key"), [("size", ""), ("create", "/key"), ("put", ""), ("put", "/manifest")])
def test_under_all_a_replica_that_fails_fails_the_snapshot_and_is_named(
    tmp_path: Path, tree: Path, call: str, key: str
) -> None:
    """FZ-12: at the start, in the middle, and when everything else is stored. Another attempt goes on from there."""
    several = Several(tmp_path)
    down(several.c, (call,), key)
    with pytest.raises(StoreUnavailable, match="replica c"):
        several.shop.create(tree)
    assert not any(name.endswith("/manifest") for name in several.c.objects)
    several.c.fault = MemoryStore().fault
    opened = len(several.shop.opened)
    several.shop.create(tree)
    assert len(several.shop.opened) == opened  # the manifest was adopted
    assert several.c.objects == several.primary.objects


def test_under_all_packs_of_the_parent_are_copied_too(tmp_path: Path, tree: Path) -> None:
    """A replica that was configured after the parent was taken."""
    before = Workshop(tmp_path, encryption=True, cache=False)
    several = Several(tmp_path)
    first = before.create(tree)
    several.primary.objects.update(before.objects)
    from tests.unit.storage_archive.workshop import row_of

    (tree / "b").write_text("changed")
    second = several.shop.create(tree, "s2", parent=row_of(first))
    assert set(first.packs) < set(second.packs)
    several.primary.objects.clear()
    assert describe(Path(several.shop.stage(second).path)) == describe(tree)


def test_under_primary_nothing_is_copied_until_somebody_asks(tmp_path: Path, tree: Path) -> None:
    """FZ-12: with the policy `primary` a replica that is away keeps nobody waiting."""
    several = Several(tmp_path, policy="primary")
    down(several.b)
    made = several.shop.create(tree)
    assert not several.b.objects
    with pytest.raises(StoreUnavailable, match="replica b"):
        several.copy(made)
    several.b.fault = MemoryStore().fault
    assert several.copy(made) > 0
    assert several.b.objects == several.primary.objects
    assert several.copy(made) == 0  # nothing is sent twice
    flip(several.b, made.packs[0])
    assert several.copy(made, anew=True) > 0
    assert several.b.objects == several.primary.objects


def test_a_copy_that_dies_anywhere_is_finished_by_another(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I17: and until then the replica has no manifest that names what it lacks."""
    several = Several(tmp_path, policy="primary")
    made = several.shop.create(tree)
    points: list[str] = []
    monkeypatch.setattr(failpoint, "hook", points.append)
    several.copy(made)
    assert {"replica.before-key", "replica.before-pack", "replica.before-manifest"} <= set(points)
    for point in sorted({point for point in points if point.startswith("replica.")}):
        several.b.objects.clear()
        with dying(point):
            several.copy(made)
        if made.manifest_key in several.b.objects:
            found = several.archive.replica("b").verify(made.manifest_key, VerifyLevel.HASH, QuietWatch())
            assert found.sound, point
        several.copy(made)
        assert several.b.objects == several.primary.objects, point


def test_damage_does_not_spread_to_replicas(tmp_path: Path, tree: Path) -> None:
    several = Several(tmp_path, policy="primary")
    made = several.shop.create(tree)
    flip(several.primary, made.packs[0])
    with pytest.raises(Damaged, match="not copied"):
        several.copy(made)
    assert not {*made.packs, made.manifest_key} & several.b.objects.keys()


def test_a_copy_ends_when_its_snapshot_is_being_deleted(tmp_path: Path, tree: Path) -> None:
    several = Several(tmp_path, policy="primary")
    made = several.shop.create(tree)

    def check() -> None:
        raise Refused("being deleted")

    with pytest.raises(Refused, match="being deleted"):
        several.archive.copy("b", made.manifest_key, check)
    assert set(several.b.objects) == {"tenants/acme/key"}


def test_garbage_goes_from_every_store_and_is_kept_in_mind_until_it_has(tmp_path: Path, tree: Path) -> None:
    several = Several(tmp_path)
    made = several.shop.create(tree)
    garbage = [Garbage(made.manifest_key, False, 0), Garbage(several.archive.pack_prefix("acme", "s1"), True, 0)]
    down(several.b, ("delete",))
    with pytest.raises(StoreUnavailable):
        several.archive.collect(garbage, lambda prefix: set())
    several.b.fault = MemoryStore().fault
    assert set(several.archive.collect(garbage, lambda prefix: set())) == {item.key for item in garbage}
    assert [set(store.objects) for store in several.stores] == [{"tenants/acme/key"}] * 3


def test_a_replica_with_another_key_of_the_tenant_is_refused(tmp_path: Path, tree: Path) -> None:
    several = Several(tmp_path, policy="primary")
    made = several.shop.create(tree)
    TenantKeys(several.b, KeyRing.parse(KEYS)).obtain("acme")
    with pytest.raises(Refused, match="another key") as refused:
        several.copy(made)
    assert refused.value.code == "replica-of-another"
    assert made.manifest_key not in several.b.objects


def test_a_key_that_is_destroyed_while_it_is_copied_comes_back_nowhere(tmp_path: Path, tree: Path) -> None:
    several = Several(tmp_path, policy="primary")
    made = several.shop.create(tree)
    ended: list[str | None] = []

    def check() -> None:
        if not ended:
            ended.append(TenantKeys(several.primary, KeyRing.parse(KEYS)).destroy("acme"))

    with pytest.raises(KeyUnavailable, match="destroyed"):
        several.archive.copy("b", made.manifest_key, check)
    assert "tenants/acme/key" not in several.b.objects
    with pytest.raises(KeyUnavailable):
        several.archive.stage(
            made.manifest_key, str(tmp_path / "t"), str(tmp_path / "s" / "tree"), RestoreMode.REPLACE, QuietWatch()
        )
