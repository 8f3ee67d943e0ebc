"""Kill -9 while a drill restores: another process measures anew, it is on record once, and no scratch tree stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.operation import State
from tests.chaos.victim import Death, run_node
from tests.chaos.world import (
    SERVICE,
    SOURCE,
    World,
    all_over,
    command,
    encoded,
    nothing_left_over,
    prepare,
    publish,
    settings_of,
)  # fmt: skip
from tests.fakes.trees import digest
from workers.bootstrap import System

POINTS = ("stage.before-write", "stage.after-write", "settle.before-commit", "settle.after-commit")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A service with snapshots, and the wish for a drill in the spool."""
    home = tmp_path_factory.mktemp("world") / "data"
    made = prepare(home)
    assert run_node(settings_of(home), made.finished, home.parent / "trace").exit_code == 0
    publish(home, "drill", encoded(command("restore-drill", "drill", {"goal_seconds": 3600})))
    return made


def test_whoever_is_killed_in_a_drill_another_finishes_it(
    world: World, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """I1, I2, I5, I17."""
    for number, point in enumerate(POINTS):
        with subtests.test(msg=point):
            copy = world.copy_to(tmp_path / str(number) / "data")

            def finished(system: System, copy: World = copy) -> bool:
                return all_over(copy.home, ("drill",), system)

            trace = tmp_path / f"t{number}"
            assert run_node(settings_of(copy.home), finished, trace, Death(point, 1)).killed
            for _ in range(2):  # the second one sweeps what the first left to its own end
                assert run_node(settings_of(copy.home), finished, trace).exit_code == 0
            system = System(settings_of(copy.home))
            operation = system.database.find_by_message(SOURCE, "drill")
            assert operation is not None and operation.state is State.SUCCEEDED and operation.outcome is not None
            (drill,) = system.database.drills.list()
            assert (drill.op_id, drill.passed, drill.within_goal) == (operation.op_id, True, True)
            assert drill.bytes == operation.outcome["figures"]["bytes"] > 0
            assert digest(copy.tree) == copy.first_tree, "the service was touched"
            nothing_left_over(copy.home, system, [SERVICE])
            system.close()
