"""restore-snapshot: the whole old tree or the whole snapshot, in every mode, on any node."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from domain import failpoint
from domain.errors import StoreUnavailable
from domain.operation import State
from storage.archive import mounts
from tests.acceptance.platform import Platform, code, digest, grow
from tests.waiting import eventually


def pack_file(platform: Platform, snapshot_id: str) -> Path:
    """The first pack of a snapshot, as a file of the folder store."""
    found = platform.system.database.catalogue.get(snapshot_id)
    assert found is not None
    return platform.home / "store" / found.packs[0]


def test_replace_makes_the_tree_equal_to_the_snapshot(platform: Platform) -> None:
    """RS-17: what is not in the snapshot disappears."""
    tree = platform.service("rs-replace")
    before = digest(tree)
    snapshot = platform.snapshot("rs-replace")
    grow(tree, seed=9)
    (tree / "extra.txt").write_text("extra")
    operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-replace")
    assert operation.state is State.SUCCEEDED
    assert digest(tree) == before


def test_merge_keeps_what_only_the_target_has(platform: Platform) -> None:
    """RS-17."""
    tree = platform.service("rs-merge")
    snapshot = platform.snapshot("rs-merge")
    (tree / "extra.txt").write_text("extra")
    victim = next((tree / "lib").glob("*.txt"))
    original = victim.read_bytes()
    victim.write_text("spoilt")
    platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id, "mode": "merge"}, service="rs-merge")
    assert ((tree / "extra.txt").read_text(), victim.read_bytes()) == ("extra", original)


def test_refuse_non_empty_changes_nothing_in_a_full_target(platform: Platform) -> None:
    tree = platform.service("rs-refuse")
    snapshot = platform.snapshot("rs-refuse")
    grow(tree, seed=9)
    before = digest(tree)
    data = {"snapshot_id": snapshot.snapshot_id, "mode": "refuse-non-empty"}
    assert code(platform.run("restore-snapshot", data, service="rs-refuse")) == (State.FAILED, "target-not-empty")
    assert digest(tree) == before


def test_a_directory_that_is_gone_comes_back(platform: Platform) -> None:
    tree = platform.service("rs-gone")
    before = digest(tree)
    snapshot = platform.snapshot("rs-gone")
    tree.rename(tree.with_name("rs-gone-elsewhere"))
    data = {"snapshot_id": snapshot.snapshot_id, "mode": "refuse-non-empty"}
    assert platform.run("restore-snapshot", data, service="rs-gone").state is State.SUCCEEDED
    assert digest(tree) == before


def test_one_snapshot_is_restored_to_two_services_at_once(platform: Platform) -> None:
    """RS-20."""
    tree = platform.service("rs-source")
    snapshot = platform.snapshot("rs-source")
    targets = ("rs-twin-a", "rs-twin-b")
    for name in targets:
        platform.run("register-service", {}, service=name)
    messages = [
        platform.publish("restore-snapshot", {"snapshot_id": snapshot.snapshot_id, "include": ["data"]}, service=name)
        for name in targets
    ]
    assert {platform.outcome(message).state for message in messages} == {State.SUCCEEDED}
    assert {digest(platform.apps("web-1") / name) for name in targets} == {digest(tree)}


def test_the_chowned_marker_is_gone_after_a_restore(platform: Platform) -> None:
    """RS-06: the platform's start script then mends ownership."""
    tree = platform.service("rs-chowned")
    (tree / ".chowned").touch()
    snapshot = platform.snapshot("rs-chowned")
    assert platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-chowned").outcome
    assert not (tree / ".chowned").exists()


def test_a_chowned_directory_is_kept_and_reported(platform: Platform) -> None:
    """RS-06."""
    tree = platform.service("rs-chowned-dir")
    (tree / ".chowned").mkdir()
    snapshot = platform.snapshot("rs-chowned-dir")
    operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-chowned-dir")
    assert operation.outcome is not None and operation.outcome["complete"] is False
    assert (tree / ".chowned").is_dir()


def test_a_snapshot_whose_data_is_missing_fails_before_the_target_and_says_so_in_lists(platform: Platform) -> None:
    """RS-09, FZ-09: it stops saying available; all others are listed as before."""
    tree = platform.service("rs-missing")
    other, broken = platform.snapshot("rs-missing", "n:1"), None
    grow(tree, seed=3)
    broken = platform.snapshot("rs-missing", "n:2")
    own = [pack for pack in broken.packs if broken.snapshot_id in pack]
    (platform.home / "store" / own[0]).unlink()
    before = digest(tree)
    operation = platform.run("restore-snapshot", {"snapshot_id": broken.snapshot_id}, service="rs-missing")
    assert code(operation) == (State.FAILED, "object-missing")
    assert digest(tree) == before
    found = platform.system.database.catalogue.find(None, ["rs-missing"], [], 10, None)
    assert {s.snapshot_id: s.state.value for s in found} == {
        broken.snapshot_id: "corrupt",
        other.snapshot_id: "available",
    }


def test_a_corrupt_snapshot_whose_data_is_back_can_be_restored_and_is_available_again(platform: Platform) -> None:
    platform.service("rs-healed")
    snapshot = platform.snapshot("rs-healed")
    pack = pack_file(platform, snapshot.snapshot_id)
    pack.rename(pack.with_suffix(".aside"))
    platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-healed")
    pack.with_suffix(".aside").rename(pack)
    operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-healed")
    assert operation.state is State.SUCCEEDED
    found = platform.system.database.catalogue.get(snapshot.snapshot_id)
    assert found is not None and found.state.value == "available"


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_damaged_bytes_are_found_before_the_target_is_touched(platform: Platform, damage: str) -> None:
    """FZ-09."""
    name = f"rs-{damage}"
    tree = platform.service(name)
    snapshot = platform.snapshot(name)
    pack = pack_file(platform, snapshot.snapshot_id)
    stored = bytearray(pack.read_bytes())
    if damage == "flip":
        stored[100] ^= 1
    else:
        del stored[len(stored) // 2 :]
    pack.chmod(0o600)
    pack.write_bytes(stored)
    before = digest(tree)
    operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service=name)
    assert operation.state is State.FAILED and operation.error_code in ("snapshot-damaged", "object-short")
    assert digest(tree) == before


@pytest.mark.parametrize("part", ["manifest", "pack", "key"])
def test_a_flip_in_any_region_of_any_object_fails_a_restore_before_its_target_is_touched(
    platform: Platform, part: str
) -> None:
    """RS-16, CN-12: what is damaged is said; a key that does not open damages no snapshot."""
    name = f"rs-region-{part}"
    tree = platform.service(name)
    snapshot = platform.snapshot(name)
    objects = Path(platform.system.settings.store_url.removeprefix("file://"))
    keys = {"manifest": snapshot.manifest_key, "pack": snapshot.packs[0], "key": "tenants/acme/key"}
    path, before = objects / keys[part], digest(tree)
    whole = path.read_bytes()
    # All but the end of a pack, its index, which a restore does not read.
    end = len(whole) - int.from_bytes(whole[-48:-44], "little") - 49 if part == "pack" else len(whole) - 1
    path.chmod(0o600)
    for at in (0, 9, end // 3, end // 2, end) if part != "pack" else (8, end // 3, end // 2, end):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service=name)
        assert operation.state is State.FAILED and digest(tree) == before
        if part != "key":
            assert operation.error_code == "snapshot-damaged"
        found = platform.system.database.catalogue.get(snapshot.snapshot_id)
        assert found is not None and (found.state.value == "corrupt") == (part != "key")
    path.write_bytes(whole)
    assert (
        platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service=name).state is State.SUCCEEDED
    )


def test_a_missing_snapshot_changes_nothing(platform: Platform) -> None:
    tree = platform.service("rs-none")
    before = digest(tree)
    data = {"snapshot_id": "0192f0c1-7c9a-7c3f-b7a5-d5e2c1a0b9f8"}
    assert code(platform.run("restore-snapshot", data, service="rs-none")) == (State.FAILED, "snapshot-not-found")
    assert digest(tree) == before


def test_a_snapshot_of_another_tenant_is_refused(platform: Platform) -> None:
    """RS-22 in spirit: whoever knows an id does not thereby own it."""
    platform.service("rs-acme")
    snapshot = platform.snapshot("rs-acme")
    platform.run("register-service", {}, service="rs-evil", tenant="evil")
    operation = platform.run(
        "restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-evil", tenant="evil"
    )
    assert code(operation) == (State.FAILED, "wrong-tenant")
    assert not (platform.apps("web-1") / "rs-evil").exists()


def test_a_target_outside_the_apps_root_is_refused_at_the_door(platform: Platform) -> None:
    """RS-19."""
    platform.service("rs-escape")
    snapshot = platform.snapshot("rs-escape")
    data = {"snapshot_id": snapshot.snapshot_id, "target": {"directory": "../../etc"}}
    message_id = platform.publish("restore-snapshot", data, service="rs-escape")
    assert "data.target.directory" in platform.letter_reason(message_id)


def test_snapshot_and_restore_without_a_change_leave_every_record_as_it_was(platform: Platform) -> None:
    """S35."""
    platform.service("rs-same", configuration={"image": "shop:1.4", "envs": [{"name": "A", "value": "b"}]})
    before = platform.system.database.services.get("rs-same")
    snapshot = platform.snapshot("rs-same")
    platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-same")
    assert platform.system.database.services.get("rs-same") == before


def test_a_changed_configuration_is_put_back(platform: Platform) -> None:
    platform.service("rs-conf", configuration={"image": "shop:1"})
    snapshot = platform.snapshot("rs-conf")
    platform.run("register-service", {"configuration": {"image": "shop:2"}}, service="rs-conf")
    data = {"snapshot_id": snapshot.snapshot_id, "include": ["configuration"]}
    assert platform.run("restore-snapshot", data, service="rs-conf").state is State.SUCCEEDED
    found = platform.system.database.services.get("rs-conf")
    assert found is not None and found.document["items"]["image"]["image"] == {"value": "shop:1"}


def test_a_changed_configuration_is_not_claimed_for_a_region_that_cannot_be_told(platform: Platform) -> None:
    """The record must not say what the region does not: this node knows no region of that name."""
    platform.service("rs-region", configuration={"image": "shop:1"}, region="eu-1")
    snapshot = platform.snapshot("rs-region")
    platform.run("register-service", {"configuration": {"image": "shop:2"}, "region": "eu-1"}, service="rs-region")
    operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-region")
    assert code(operation) == (State.FAILED, "unknown-region")


def test_a_restore_of_a_snapshot_that_was_not_whole_says_so_and_names_what_is_missing(platform: Platform) -> None:
    """RS-17: what could not be stored is gone after a replace, and a restore that lost it is not complete."""
    tree = platform.service("rs-partly")
    os.mkfifo(tree / "pipe")
    taken = platform.run("create-snapshot", {"include": ["data"]}, service="rs-partly")
    done = platform.run("restore-snapshot", {"snapshot_id": taken.op_id}, service="rs-partly")
    assert done.state is State.SUCCEEDED and done.outcome is not None
    assert done.outcome["complete"] is False
    assert ("pipe", "not-in-snapshot") in [(item["name"], item["code"]) for item in done.outcome["items"]]
    assert not (tree / "pipe").exists()


def test_a_tree_in_which_something_is_mounted_is_not_exchanged(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is mounted there would leave together with the old tree, and the service would be without it."""
    tree = platform.service("rs-mounted")
    snapshot = platform.snapshot("rs-mounted")
    (tree / "data").mkdir()
    before, inode = digest(tree), tree.stat().st_ino
    at = os.fsencode(tree) + b"/data"
    monkeypatch.setattr(mounts, "inside", lambda directory: [at] if at.startswith(directory + b"/") else [])
    for mode in ("replace", "merge"):
        data = {"snapshot_id": snapshot.snapshot_id, "mode": mode}
        assert code(platform.run("restore-snapshot", data, service="rs-mounted")) == (State.FAILED, "mount-inside")
    assert (digest(tree), tree.stat().st_ino) == (before, inode)


def test_an_exchange_that_has_happened_is_finished_whatever_has_come_into_the_new_tree(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt ended between the exchange and the journal's knowing of it; then something was mounted."""
    tree = platform.service("rs-swapped")
    before = digest(tree)
    snapshot = platform.snapshot("rs-swapped")
    grow(tree, seed=9)
    reached: list[str] = []

    def end_there(point: str) -> None:
        if point == "trees.after-swap" and not reached:
            reached.append(point)
            at = os.fsencode(tree) + b"/data"
            monkeypatch.setattr(mounts, "inside", lambda directory: [at] if at.startswith(directory + b"/") else [])
            raise StoreUnavailable("the journal was not told")

    monkeypatch.setattr(failpoint, "hook", end_there)
    operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-swapped")
    assert reached and (operation.state, digest(tree)) == (State.SUCCEEDED, before), operation.outcome


def test_what_is_only_looked_at_needs_no_right_to_exchange(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that may write to the services' directories and to its own folder, and not to the apps root itself."""
    platform.service("rs-rights")
    snapshot = platform.snapshot("rs-rights")
    root, access = str(platform.apps("web-1")), os.access
    monkeypatch.setattr(os, "access", lambda path, *mode, **how: path != root and access(path, *mode, **how))
    chosen = {"snapshot_id": snapshot.snapshot_id}
    for kind, data in (("restore-drill", chosen), ("verify-snapshot", chosen | {"level": "restore-test"})):
        operation = platform.run(kind, data, service="rs-rights")
        assert operation.state is State.SUCCEEDED, operation.outcome
    refused = platform.run("restore-snapshot", chosen, service="rs-rights")
    assert code(refused) == (State.FAILED, "not-permitted")


def test_nothing_is_left_beside_the_trees(platform: Platform) -> None:
    """I17."""
    platform.service("rs-tidy")
    snapshot = platform.snapshot("rs-tidy")
    platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="rs-tidy")
    staging = platform.apps("web-1") / ".backstay"
    eventually(lambda: not any(staging.iterdir()), what="the old tree is removed after the outcome")
