"""Kill -9 between the primary and its replicas: another process finishes, and every store holds the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.operation import State
from domain.restore import RestoreMode
from storage.objects.file import FileStore
from tests.chaos.every_death import another_finishes, points_of
from tests.chaos.victim import Death, End, run_node
from tests.chaos.world import SOURCE, Unwatched, World, all_over, prepare, settings_of
from tests.fakes.trees import digest
from workers.bootstrap import System
from workers.config import Settings

#: Where nodes die. Under `all` the copy is part of the operation, under `primary` it has a journal of its own.
AT = {
    "all": ("replica.after-pack", "replica.before-manifest", "replica.after-manifest"),
    "primary": (
        *(f"replica.{when}-{what}" for what in ("key", "pack", "manifest", "note") for when in ("before", "after")),
        "copied.before-commit",
    ),
}


def several(home: Path, policy: str) -> Settings:
    return settings_of(home, BACKSTAY_REPLICAS=f"b=file://{home}/b", BACKSTAY_REPLICA_POLICY=policy)


def finished(world: World, system: System) -> bool:
    return all_over(world.home, world.messages, system) and not system.database.copies.state_of("b").pending


def promises(world: World, settings: Settings) -> None:
    """The replica has what the primary has and nothing else, and restores without it."""
    system = System(settings)
    for message_id in world.messages:
        operation = system.database.find_by_message(SOURCE, message_id)
        assert operation is not None and operation.state is State.SUCCEEDED
    stored = [{i.key: i.size for i in FileStore(str(world.home / n)).list("tenants/")} for n in ("store", "b")]
    assert stored[0] == stored[1]
    for row in system.database.catalogue.find(None, [], [], 100, None):
        staging = world.home / "check" / row.snapshot_id / "tree"
        archive = system.archive.replica("b")
        archive.stage(row.manifest_key, str(world.home / "x"), str(staging), RestoreMode.REPLACE, Unwatched())
        assert digest(staging) == world.first_tree
    system.close()


@pytest.mark.parametrize("policy", ["all", "primary"])
def test_whoever_is_killed_while_copying_another_finishes(
    policy: str, tmp_path: Path, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1, I13, I17, FZ-12: also between the primary's write and the replica's."""
    monkeypatch.setattr("workers.copier.HOLD_MS", 200)  # what a dead copier held is free soon
    monkeypatch.setattr("workers.copier.LOOK_SECONDS", 0.05)
    world = prepare(tmp_path / "world" / "data")

    def run(world: World, trace: Path, death: Death | None) -> End:
        return run_node(several(world.home, policy), lambda system: finished(world, system), trace, death)

    def kept(world: World) -> None:
        promises(world, several(world.home, policy))

    wanted = AT[policy]
    points = [death for death in points_of(world, tmp_path, run, kept) if death.hit == 1 and death.point in wanted]
    assert {death.point for death in points} == set(wanted)
    another_finishes(world, points, tmp_path, subtests, run, kept)
