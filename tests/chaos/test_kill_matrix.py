"""Kill -9 at every failpoint of the embedded node, let another process finish, check every promise.

The points are read from a run without faults, so new code is covered without editing this file: the first hit of
each, and every eighth of the last hits; all of them when BACKSTAY_KILLS=all, and in `make prove`.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from tests.chaos.victim import Death, deaths, run_node
from tests.chaos.world import SOURCE, World, check, live_tree_is_whole, prepare, publish_the_run, settings_of
from workers.bootstrap import System

ALL = os.environ.get("BACKSTAY_KILLS") == "all"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A service with one snapshot and a changed tree, and everything that the run is about in the spool."""
    home = tmp_path_factory.mktemp("world") / "data"
    world = prepare(home)
    end = run_node(settings_of(home), world.finished, home.parent / "trace")
    assert end.exit_code == 0, "the world could not be set up"
    system = System(settings_of(home))
    zeroth, first = (system.database.find_by_message(SOURCE, name) for name in ("zeroth", "first"))
    system.close()
    assert zeroth is not None and first is not None
    return publish_the_run(world, zeroth.op_id, first.op_id)


@pytest.fixture(scope="module")
def points(world: World, tmp_path_factory: pytest.TempPathFactory) -> list[Death]:
    """Every failpoint of a whole run, which must itself keep all promises."""
    home = tmp_path_factory.mktemp("dry")
    copy = world.copy_to(home / "data")
    end = run_node(settings_of(copy.home), copy.finished, home / "trace")
    assert end.exit_code == 0
    system = System(settings_of(copy.home))
    check(copy, system)
    system.close()
    return deaths(end.trace)


def test_the_run_reaches_every_kind_of_effect(points: list[Death]) -> None:
    """A matrix that silently lost a part of the path would prove nothing about it."""
    parts = {death.point.partition(".")[0] for death in points}
    assert {"ingress", "accept", "settle", "relay", "trees"} <= parts, f"reached only {sorted(parts)}"


@pytest.mark.timeout(1800)
def test_whoever_is_killed_wherever_another_finishes(
    world: World, points: list[Death], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """I1, I2, I5, I7, I11, I13, I15-I18 of the invariants; RS-13, RS-21, FZ-03."""
    last = [death for death in points if death.hit > 1]
    left_out = set() if ALL else set(last) - set(last[::8])
    for number, death in enumerate(death for death in points if death not in left_out):
        with subtests.test(msg=str(death)):
            copy = world.copy_to(tmp_path / str(number))
            trace = tmp_path / f"trace-{number}"
            died = run_node(settings_of(copy.home), copy.finished, trace, death)
            # The last hit of a point may fall away when threads meet otherwise; the first is always reached.
            assert died.killed or death.hit > 1, f"{death} was not reached"
            live_tree_is_whole(copy)
            end = run_node(settings_of(copy.home), copy.finished, trace)
            assert end.exit_code == 0, f"after {death} the second process did not finish"
            system = System(settings_of(copy.home))
            check(copy, system)
            system.close()


def test_two_deaths_in_a_row_are_survived_too(world: World, points: list[Death], tmp_path: Path) -> None:
    """The process that takes over is killed as well, at the next point of the path."""
    chosen = points[:: max(1, len(points) // 5)]
    for number, (first, second) in enumerate(itertools.pairwise(chosen)):
        copy = world.copy_to(tmp_path / str(number))
        for death in (first, second, None):
            end = run_node(settings_of(copy.home), copy.finished, tmp_path / "trace", death)
            live_tree_is_whole(copy)
        assert end.exit_code == 0
        system = System(settings_of(copy.home))
        check(copy, system)
        system.close()
