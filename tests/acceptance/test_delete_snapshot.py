"""delete-snapshot: catalogue and objects, as far as no other snapshot needs them; a repeat is harmless."""

from __future__ import annotations

from pathlib import Path

from domain.operation import State
from domain.restore import RestoreMode
from tests.acceptance.platform import Platform, code, digest, grow
from tests.unit.storage_archive.workshop import QuietWatch
from workers.cataloguing import Cataloguing


def test_data_manifest_and_row_are_gone(platform: Platform) -> None:
    """RS-10."""
    platform.service("ds-one")
    snapshot = platform.snapshot("ds-one")
    operation = platform.run("delete-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="ds-one")
    assert operation.state is State.SUCCEEDED
    assert platform.system.database.catalogue.get(snapshot.snapshot_id) is None
    assert platform.system.store.size(snapshot.manifest_key) is None
    assert [platform.system.store.size(pack) for pack in snapshot.packs] == [None] * len(snapshot.packs)


def test_who_reads_it_already_reads_it_to_its_end(tmp_path: Path) -> None:
    """RS-10, I14: a restore on another node has the manifest when the snapshot is deleted; the check is content."""
    platform = Platform(tmp_path, BACKSTAY_READER_GRACE_SECONDS="60")
    try:
        platform.start("web-1")
        tree = platform.service("ds-read")
        snapshot = platform.snapshot("ds-read")
        operation = platform.run("delete-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="ds-read")
        assert operation.state is State.SUCCEEDED
        assert platform.system.database.catalogue.get(snapshot.snapshot_id) is None
        staging = str(tmp_path / "nodes" / "web-1" / "staged")
        archive = platform.system.archive
        archive.stage(snapshot.manifest_key, str(tree), staging, RestoreMode.REPLACE, QuietWatch())
        assert digest(Path(staging)) == digest(tree)
        found = Cataloguing(platform.system.store, archive, platform.system.database.catalogue).check()
        assert (found.unknown_manifests, found.unknown_packs, found.missing) == ([], [], [])
    finally:
        platform.close()


def test_deleting_again_succeeds_and_changes_nothing(platform: Platform) -> None:
    """RS-10."""
    platform.service("ds-twice")
    snapshot = platform.snapshot("ds-twice")
    data = {"snapshot_id": snapshot.snapshot_id}
    outcomes = [platform.run("delete-snapshot", data, service="ds-twice").outcome for _ in range(2)]
    assert [outcome["figures"]["deleted"] for outcome in outcomes if outcome] == [True, False]


def test_a_deleted_snapshot_cannot_be_restored(platform: Platform) -> None:
    """RS-10."""
    platform.service("ds-gone")
    snapshot = platform.snapshot("ds-gone")
    platform.run("delete-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="ds-gone")
    operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="ds-gone")
    assert code(operation) == (State.FAILED, "snapshot-not-found")


def test_packs_that_a_later_snapshot_shares_stay(platform: Platform) -> None:
    tree = platform.service("ds-shared")
    first = platform.snapshot("ds-shared")
    grow(tree, seed=5, files=3)
    before = digest(tree)
    second = platform.snapshot("ds-shared")
    assert set(first.packs) & set(second.packs)
    platform.run("delete-snapshot", {"snapshot_id": first.snapshot_id}, service="ds-shared")
    grow(tree, seed=6, files=3)
    platform.run("restore-snapshot", {"snapshot_id": second.snapshot_id}, service="ds-shared")
    assert digest(tree) == before


def test_a_snapshot_of_another_subject_is_refused(platform: Platform) -> None:
    platform.service("ds-mine")
    platform.service("ds-other")
    snapshot = platform.snapshot("ds-mine")
    data = {"snapshot_id": snapshot.snapshot_id}
    assert code(platform.run("delete-snapshot", data, service="ds-other")) == (State.FAILED, "wrong-tenant")
    assert platform.listed("ds-mine") == [snapshot.snapshot_id]
