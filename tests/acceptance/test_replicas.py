"""Replicas on a running node: snapshots follow, restores fall back, deletes reach them, people are told."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.operation import Operation, State
from domain.snapshot import Snapshot, SnapshotState
from domain.verification import Verified
from handlers import verify_snapshot
from storage.archive.tenant_keys import key_of
from storage.objects.file import FileStore
from tests.acceptance.platform import Platform, digest
from tests.waiting import eventually
from workers import copier


@pytest.fixture(scope="module", params=["all", "primary"])
def several(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home = tmp_path_factory.mktemp("several")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copier, "LOOK_SECONDS", 0.05)
        made = Platform(
            home,
            BACKSTAY_REPLICAS=f"b=file://{home}/b, c=file://{home}/c",
            BACKSTAY_REPLICA_POLICY=request.param,
        )
        made.start("web-1")
        yield made
        made.close()


def keys(home: Path, store: str) -> set[str]:
    return {info.key for info in FileStore(str(home / store)).list("tenants/")}


def flip(home: Path, store: str, key: str) -> None:
    opened = FileStore(str(home / store))
    data = bytearray(opened.get(key))
    data[50] ^= 1
    opened.put(key, [bytes(data)])


def copied(platform: Platform, *replicas: str) -> None:
    """Wait until the journal says that nothing is owed."""
    copies = platform.system.database.copies
    eventually(lambda: all(not copies.state_of(name).pending for name in replicas or ("b", "c")), what="all is copied")


def outcome(operation: Operation) -> tuple[State, str, dict[str, object]]:
    assert operation.outcome is not None
    return operation.state, operation.outcome["sentence"], operation.outcome["figures"]


def restored(platform: Platform, service: str, snapshot: Snapshot) -> Operation:
    tree = platform.apps("web-1") / service
    shutil.rmtree(tree)
    return platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id, "include": ["data"]}, service=service)


def test_a_snapshot_reaches_every_replica_and_is_deleted_from_all(several: Platform) -> None:
    """FZ-11, FZ-12, I17."""
    several.service("both")
    snapshot = several.snapshot("both")
    wanted = {snapshot.manifest_key, *snapshot.packs}
    if several.system.settings.replica_policy == "all":
        assert wanted <= keys(several.home, "b") & keys(several.home, "c")
    copied(several)
    assert wanted <= keys(several.home, "b") & keys(several.home, "c")
    several.run("delete-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="both")

    def gone() -> bool:
        return not any(wanted & keys(several.home, store) for store in ("store", "b", "c"))

    eventually(gone, what="no store has it")


def test_a_restore_from_a_damaged_primary_takes_a_replica_and_says_so(several: Platform) -> None:
    tree = several.service("fallback")
    snapshot = several.snapshot("fallback")
    copied(several)
    before = digest(tree)
    flip(several.home, "store", snapshot.packs[0])
    state, sentence, figures = outcome(restored(several, "fallback", snapshot))
    assert (state, figures["read_from"]) == (State.SUCCEEDED, "b")
    assert "from replica b: in the primary store it cannot be read" in sentence
    assert str(figures["primary_fault"])
    assert digest(tree) == before
    looked = several.run("verify-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="fallback")
    assert looked.state is State.FAILED  # the primary's copy is what this is about
    _, _, figures = outcome(restored(several, "fallback", snapshot))
    found = several.system.database.catalogue.get(snapshot.snapshot_id)
    assert figures["read_from"] == "b"
    assert found is not None and found.state is SnapshotState.CORRUPT  # a replica's health heals no primary


def test_a_key_that_the_primary_cannot_read_stops_no_restore_and_damages_no_snapshot(
    several: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FZ-11: every snapshot of the tenant would be called corrupt for one sector."""
    tree = several.service("no-key")
    snapshot = several.snapshot("no-key")
    copied(several)
    before = digest(tree)
    key = several.home / "store" / key_of("acme")
    sound, look = key.read_bytes(), verify_snapshot._restored

    def spoilt_meanwhile(*told: Any) -> Verified:
        key.write_bytes(b"")
        return look(*told)

    monkeypatch.setattr(verify_snapshot, "_restored", spoilt_meanwhile)
    try:
        wish = {"snapshot_id": snapshot.snapshot_id, "level": "restore-test"}
        looked = several.run("verify-snapshot", wish, service="no-key")
        assert (looked.state, looked.error_code) == (State.FAILED, "key-unreadable")
        state, sentence, figures = outcome(restored(several, "no-key", snapshot))
    finally:
        key.write_bytes(sound)
    assert (state, figures["read_from"]) == (State.SUCCEEDED, "b")
    assert "in the primary store it cannot be read" in sentence and "the key of tenant acme" in str(figures)
    assert digest(tree) == before
    found = several.system.database.catalogue.get(snapshot.snapshot_id)
    assert found is not None and found.state is SnapshotState.AVAILABLE


@pytest.mark.parametrize("level", ["exists", "hash", "restore-test"])
def test_a_damaged_copy_is_named_and_made_anew_while_the_snapshot_stays_available(
    several: Platform, level: str
) -> None:
    name = f"copy-{level}"
    several.service(name)
    snapshot = several.snapshot(name)
    copied(several)
    wish = {"snapshot_id": snapshot.snapshot_id, "level": level, "replica": "c"}
    assert outcome(several.run("verify-snapshot", wish, service=name))[0] is State.SUCCEEDED
    if level == "exists":
        FileStore(str(several.home / "c")).delete([snapshot.packs[0]])
    else:
        flip(several.home, "c", snapshot.packs[0])
    state, sentence, figures = outcome(several.run("verify-snapshot", wish, service=name))
    assert (state, figures["replica"]) == (State.FAILED, "c")
    assert "in replica c is damaged" in sentence
    found = several.system.database.catalogue.get(snapshot.snapshot_id)
    assert found is not None and found.state is SnapshotState.AVAILABLE
    copied(several, "c")
    assert outcome(several.run("verify-snapshot", wish, service=name))[0] is State.SUCCEEDED


def test_a_replica_that_nobody_configured_is_refused(several: Platform) -> None:
    several.service("unknown")
    snapshot = several.snapshot("unknown")
    wish = {"snapshot_id": snapshot.snapshot_id, "replica": "z"}
    ended = several.run("verify-snapshot", wish, service="unknown")
    assert (ended.state, ended.error_code) == (State.FAILED, "unknown-replica")


def test_packs_that_were_rewritten_reach_every_replica(several: Platform) -> None:
    tree = several.service("sparse")
    for seed in (1, 2):
        for number in range(2 + (seed == 1)):
            (tree / f"big-{number}").write_bytes(random.Random(seed * 10 + number).randbytes(3 << 20))
        snapshot = several.snapshot("sparse")
        if seed == 1:
            first = snapshot
    before = digest(tree)
    several.run("delete-snapshot", {"snapshot_id": first.snapshot_id}, service="sparse")
    copied(several)
    several.run("repack-service", {"below_percent": 80}, service="sparse")
    found = several.system.database.catalogue.get(snapshot.snapshot_id)
    assert found is not None and set(found.packs) != set(snapshot.packs), "nothing was rewritten"
    copied(several)
    assert set(found.packs) <= keys(several.home, "b") & keys(several.home, "c")
    flip(several.home, "store", found.manifest_key)
    state, sentence, _ = outcome(restored(several, "sparse", found))
    assert (state, digest(tree)) == (State.SUCCEEDED, before)
    assert "from replica" in sentence
