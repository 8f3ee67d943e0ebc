"""Kill -9 while a snapshot is taken back by its record: another finishes; it is there once, counted once."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import pytest

from domain.operation import State
from domain.snapshot import SnapshotState
from tests.chaos.every_death import another_finishes, points_of
from tests.chaos.victim import Death, End, run_node
from tests.chaos.world import SOURCE, World, all_over, command, encoded, prepare, publish, settings_of
from workers.bootstrap import System


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A store with two snapshots, a database that knows of none, and in the spool the record of the second."""
    home = tmp_path_factory.mktemp("world") / "data"
    made = prepare(home)
    assert run_node(settings_of(home), made.finished, home.parent / "trace").exit_code == 0
    system = System(settings_of(home))
    first = system.database.find_by_message(SOURCE, "first")
    assert first is not None
    row = system.database.catalogue.get(first.op_id)
    assert row is not None
    record = system.archive.export_record(row.manifest_key)
    system.close()
    with sqlite3.connect(home / "backstay.db") as database:
        for table in ("snapshot_label", "snapshot_pack", "pack", "snapshot"):
            database.execute(f"DELETE FROM {table}")
    database.close()
    publish(home, "import", encoded(command("import-record", "import", {"record": record})))
    return made


def run(world: World, trace: Path, death: Death | None) -> End:
    return run_node(settings_of(world.home), lambda system: all_over(world.home, ("import",), system), trace, death)


def promises(world: World) -> None:
    """The snapshot is in the catalogue, whole, and each of its packs is counted once."""
    system = System(settings_of(world.home))
    operation = system.database.find_by_message(SOURCE, "import")
    assert operation is not None and operation.outcome is not None
    assert operation.state is State.SUCCEEDED, operation.outcome
    row = system.database.catalogue.get(operation.outcome["figures"]["snapshot_id"])
    assert row is not None and row.state is SnapshotState.AVAILABLE
    known = system.archive.read(row.manifest_key)
    assert dataclasses.asdict(row)["packs"] == tuple(sorted(known.packs))
    assert all(system.store.size(key) is not None for key in row.packs)
    system.close()
    with sqlite3.connect(world.home / "backstay.db") as database:
        assert database.execute("SELECT DISTINCT refs, state FROM pack").fetchall() == [(1, "LIVE")]
        assert database.execute("SELECT count(*) FROM snapshot").fetchone() == (1,)
    database.close()


def test_whoever_is_killed_while_importing_a_record_another_finishes(
    world: World, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """CN-28, I1, I2, I13."""
    points = [
        death
        for death in points_of(world, tmp_path, run, promises)
        if death.point.partition(".")[0] in ("settle", "claim")
    ]
    assert {death.point.partition(".")[0] for death in points} == {"claim", "settle"}
    another_finishes(world, points, tmp_path, subtests, run, promises)
