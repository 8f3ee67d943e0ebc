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
from tests.waiting import eventually
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


def killed_and_finished(world: World, home: Path, point: str) -> None:
    """One node dies there, another one finishes; then everything must be as promised."""
    copy = world.copy_to(home / "data")

    def finished(system: System) -> bool:
        return all_over(copy.home, ("drill",), system)

    assert run_node(settings_of(copy.home), finished, home / "trace", Death(point, 1)).killed
    run_node(settings_of(copy.home), finished, home / "trace")
    system = System(settings_of(copy.home))
    eventually(lambda: finished(system), what=f"after {point} another has finished")
    for op_id in system.trees.staged_operations():  # what the second one left to its own end, as a sweeper would
        assert system.database.ledger.get(op_id) is not None
        system.trees.discard(op_id)
    operation = system.database.find_by_message(SOURCE, "drill")
    assert operation is not None and operation.state is State.SUCCEEDED and operation.outcome is not None
    (drill,) = system.database.drills.list()
    assert (drill.op_id, drill.passed, drill.within_goal) == (operation.op_id, True, True)
    assert drill.bytes == operation.outcome["figures"]["bytes"] > 0
    assert digest(copy.tree) == copy.first_tree, "the service was touched"
    nothing_left_over(copy.home, system, [SERVICE])
    system.close()


def test_whoever_is_killed_in_a_drill_another_finishes_it(
    world: World, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """I1, I2, I5, I17."""
    for number, point in enumerate(POINTS):
        with subtests.test(msg=point):
            killed_and_finished(world, tmp_path / str(number), point)
