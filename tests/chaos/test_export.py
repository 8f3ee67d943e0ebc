"""Kill -9 while a snapshot is exported: another process finishes, and the store holds one archive and no other."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from domain.operation import State
from tests.chaos.every_death import another_finishes, points_of
from tests.chaos.victim import Death, End, run_node
from tests.chaos.world import SOURCE, World, all_over, command, encoded, prepare, publish, settings_of
from workers.bootstrap import System


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A service with snapshots, and the wish for an archive of one in the spool."""
    home = tmp_path_factory.mktemp("world") / "data"
    made = prepare(home)
    assert run_node(settings_of(home), made.finished, home.parent / "trace").exit_code == 0
    system = System(settings_of(home))
    first = system.database.find_by_message(SOURCE, "first")
    system.close()
    assert first is not None
    publish(home, "export", encoded(command("export-snapshot", "export", {"snapshot_id": first.op_id})))
    return made


def run(world: World, trace: Path, death: Death | None) -> End:
    return run_node(settings_of(world.home), lambda system: all_over(world.home, ("export",), system), trace, death)


def promises(world: World) -> None:
    """The archive is what its row says and what the tree is; nothing is left over."""
    system = System(settings_of(world.home))
    operation = system.database.find_by_message(SOURCE, "export")
    assert operation is not None and operation.outcome is not None
    assert operation.state is State.SUCCEEDED, operation.outcome
    found = system.database.catalogue.export_of(operation.outcome["figures"]["snapshot_id"])
    assert found is not None
    archive = system.store.get(found.object_key)
    assert (len(archive), hashlib.sha256(archive).hexdigest()) == (found.bytes, found.sha256)
    subprocess.run(["tar", "--zstd", "--compare", "--file=-", f"--directory={world.tree}"], input=archive, check=True)
    exports = [info.key for info in system.store.list("tenants/") if "/exports/" in info.key]
    assert exports == [found.object_key]
    system.close()


def test_whoever_is_killed_while_exporting_another_finishes(
    world: World, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """I1, I2, I5, I17."""
    points = [
        death
        for death in points_of(world, tmp_path, run, promises)
        if death.point.partition(".")[0] in ("object", "settle", "claim")
    ]
    assert {death.point.partition(".")[0] for death in points} >= {"object", "settle"}
    another_finishes(world, points, tmp_path, subtests, run, promises)
