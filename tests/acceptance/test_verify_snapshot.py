"""verify-snapshot: what says `available` can be restored, and what cannot stops saying it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from domain.operation import Operation, State
from domain.snapshot import Snapshot, SnapshotState
from domain.verification import VerifyLevel
from tests.acceptance.platform import Platform, code, digest
from tests.waiting import eventually

_numbers = itertools.count(1)
LEVELS = [level.value for level in VerifyLevel]


def look(platform: Platform, service: str, snapshot: Snapshot, level: str = "hash") -> Operation:
    return platform.run("verify-snapshot", {"snapshot_id": snapshot.snapshot_id, "level": level}, service=service)


def row(platform: Platform, snapshot: Snapshot) -> Snapshot:
    found = platform.system.database.catalogue.get(snapshot.snapshot_id)
    assert found is not None
    return found


def stored(platform: Platform, key: str) -> Path:
    """The file of an object in the folder store."""
    (found,) = [path for path in (platform.home / "store").rglob("*") if str(path).endswith(key)]
    return found


def items(operation: Operation, kind: str) -> list[str]:
    assert operation.outcome is not None
    return [item["name"] for item in operation.outcome["items"] if item["code"] == kind]


def figures(operation: Operation) -> dict[str, Any]:
    assert operation.outcome is not None
    found: dict[str, Any] = operation.outcome["figures"]
    return found


@pytest.mark.parametrize("level", LEVELS)
def test_a_sound_snapshot_is_told_so_and_when(platform: Platform, level: str) -> None:
    """CN-29, its first part."""
    name = f"vs-sound-{level}"
    platform.service(name)
    snapshot = platform.snapshot(name)
    assert look(platform, name, snapshot, level).state is State.SUCCEEDED
    found = row(platform, snapshot)
    assert (found.state, found.verified_level, found.fault) == (SnapshotState.AVAILABLE, level, "")
    assert found.verified_at > 0


@pytest.fixture
def damaged(platform: Platform) -> tuple[str, Snapshot, Path]:
    """A service, its snapshot, and the file of one of its packs."""
    name = f"vs-{next(_numbers)}"
    platform.service(name)
    snapshot = platform.snapshot(name)
    return name, snapshot, stored(platform, snapshot.packs[0])


def verdict(platform: Platform, operation: Operation, snapshot: Snapshot) -> SnapshotState:
    assert code(operation) == (State.FAILED, "verify-failed")
    found = row(platform, snapshot)
    assert found.fault in str(operation.outcome)
    return found.state


@pytest.mark.parametrize("level", LEVELS)
def test_a_missing_pack_is_found_at_every_level_and_its_files_are_named(
    platform: Platform, damaged: tuple[str, Snapshot, Path], level: str
) -> None:
    """CN-29, RS-16."""
    name, snapshot, pack = damaged
    pack.unlink()
    operation = look(platform, name, snapshot, level)
    assert verdict(platform, operation, snapshot) is SnapshotState.CORRUPT
    assert items(operation, "damaged-object") == [snapshot.packs[0]]
    assert items(operation, "affected-file")
    assert figures(operation)["affected_files"] == len(items(operation, "affected-file"))


@pytest.mark.parametrize("level", LEVELS)
def test_a_pack_cut_short_is_found_at_every_level(
    platform: Platform, damaged: tuple[str, Snapshot, Path], level: str
) -> None:
    """CN-29, RS-16."""
    name, snapshot, pack = damaged
    pack.write_bytes(pack.read_bytes()[:-1])
    assert verdict(platform, look(platform, name, snapshot, level), snapshot) is SnapshotState.CORRUPT


def test_a_flipped_bit_is_found_by_reading_and_not_by_looking(
    platform: Platform, damaged: tuple[str, Snapshot, Path]
) -> None:
    """CN-29, RS-16: what a level cannot see it does not claim."""
    name, snapshot, pack = damaged
    data = bytearray(pack.read_bytes())
    data[20] ^= 1
    pack.write_bytes(data)
    assert look(platform, name, snapshot, "exists").state is State.SUCCEEDED
    assert verdict(platform, look(platform, name, snapshot), snapshot) is SnapshotState.CORRUPT


def test_a_missing_manifest_is_the_snapshot_s_end(platform: Platform, damaged: tuple[str, Snapshot, Path]) -> None:
    name, snapshot, _ = damaged
    stored(platform, snapshot.manifest_key).unlink()
    operation = look(platform, name, snapshot, "exists")
    assert verdict(platform, operation, snapshot) is SnapshotState.CORRUPT
    assert items(operation, "damaged-object") == [snapshot.manifest_key]


def test_what_was_mended_is_available_again_when_it_was_read(
    platform: Platform, damaged: tuple[str, Snapshot, Path]
) -> None:
    """That all objects exist does not mend a verdict that was reached by reading."""
    name, snapshot, pack = damaged
    data = pack.read_bytes()
    pack.unlink()
    look(platform, name, snapshot)
    pack.write_bytes(data)
    assert look(platform, name, snapshot, "exists").state is State.SUCCEEDED
    assert row(platform, snapshot).state is SnapshotState.CORRUPT
    assert look(platform, name, snapshot).state is State.SUCCEEDED
    assert (row(platform, snapshot).state, row(platform, snapshot).fault) == (SnapshotState.AVAILABLE, "")


def test_a_restore_test_leaves_the_node_as_it_was(platform: Platform) -> None:
    tree = platform.service("vs-scratch")
    snapshot = platform.snapshot("vs-scratch")
    before = digest(tree)
    services = {path.name for path in platform.apps("web-1").iterdir()}
    assert look(platform, "vs-scratch", snapshot, "restore-test").state is State.SUCCEEDED
    assert digest(tree) == before
    assert {path.name for path in platform.apps("web-1").iterdir()} == services | {".backstay"}
    eventually(lambda: not list((platform.apps("web-1") / ".backstay").iterdir()))


def test_a_snapshot_of_configuration_only_can_be_verified(platform: Platform) -> None:
    platform.service("vs-conf")
    operation = platform.run("create-snapshot", {"include": ["configuration"]}, service="vs-conf")
    found = platform.system.database.catalogue.get(operation.op_id)
    assert found is not None
    for level in LEVELS:
        assert look(platform, "vs-conf", found, level).state is State.SUCCEEDED, level


def test_another_service_s_or_an_unknown_snapshot_is_refused(platform: Platform) -> None:
    platform.service("vs-mine")
    platform.service("vs-theirs")
    snapshot = platform.snapshot("vs-theirs")
    assert code(look(platform, "vs-mine", snapshot)) == (State.FAILED, "wrong-tenant")
    unknown = platform.run(
        "verify-snapshot", {"snapshot_id": "0192f0c1-0000-7000-8000-000000000000"}, service="vs-mine"
    )
    assert code(unknown) == (State.FAILED, "snapshot-not-found")


def test_the_next_snapshot_does_not_build_on_what_is_damaged(
    platform: Platform, damaged: tuple[str, Snapshot, Path]
) -> None:
    """I15: an earlier snapshot still says available and has the damaged pack as well; only its size is looked at."""
    name, _, pack = damaged
    second = platform.snapshot(name)
    data = bytearray(pack.read_bytes())
    data[20] ^= 1
    pack.write_bytes(data)
    assert verdict(platform, look(platform, name, second), second) is SnapshotState.CORRUPT
    third = platform.snapshot(name)
    assert look(platform, name, third).state is State.SUCCEEDED
    assert platform.run("restore-snapshot", {"snapshot_id": third.snapshot_id}, service=name).state is State.SUCCEEDED
