"""Kill -9 while a restore is staged: the next process goes on with what is there, and fetches only the rest."""

from __future__ import annotations

import os
from pathlib import Path

from domain.operation import State
from tests.chaos.victim import Death, run_node
from tests.chaos.world import SOURCE, all_over, command, encoded, prepare, publish, settings_of
from tests.fakes.trees import digest
from workers.bootstrap import System

MIB = 1 << 20


def test_killed_while_staging_the_next_process_keeps_what_is_staged(tmp_path: Path) -> None:
    """I2, I15, I17, CN-23: killed twice; the outcome says how much was fetched, and how much was not again."""
    home = tmp_path / "data"
    world = prepare(home)
    for number in range(6):
        (world.tree / f"{number}.bin").write_bytes(os.urandom(4 * MIB))
    whole = digest(world.tree)
    assert run_node(settings_of(home), world.finished, tmp_path / "trace").exit_code == 0
    system = System(settings_of(home))
    first = system.database.find_by_message(SOURCE, "first")
    assert first is not None
    for path in world.tree.glob("*.bin"):
        path.unlink()
    publish(home, "restore", encoded(command("restore-snapshot", "restore", {"snapshot_id": first.op_id})))
    live = digest(world.tree)

    def finished(there: System) -> bool:
        return all_over(home, ("restore",), there)

    for death in (Death("stage.after-segments", 2), Death("stage.after-segments", 1)):
        assert run_node(settings_of(home), finished, tmp_path / "trace", death).killed
        assert digest(world.tree) == live
    assert run_node(settings_of(home), finished, tmp_path / "trace").exit_code == 0

    operation = system.database.find_by_message(SOURCE, "restore")
    assert operation is not None and operation.outcome is not None
    assert operation.state is State.SUCCEEDED, operation.outcome
    figures = operation.outcome["figures"]
    assert figures["kept"] >= 8 * MIB and figures["fetched"] < 20 * MIB
    assert digest(world.tree) == whole
    assert system.trees.staged_operations() == []
    system.close()
