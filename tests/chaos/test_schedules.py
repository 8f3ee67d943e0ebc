"""Kill -9 while a schedule asks: another process finishes, and each nominal time was asked for once."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from domain.operation import State
from tests.chaos.every_death import another_finishes, points_of
from tests.chaos.victim import Death, End, run_node
from tests.chaos.world import SERVICE, TENANT, World, command, encoded, prepare, publish, settings_of
from workers.bootstrap import System

HOURS = 2
HOUR = 3_600_000
NAME = "hourly"
BY_SCHEDULE = f"/backstay/schedules/{TENANT}/{NAME}"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are forked from here, so they look as often."""
    monkeypatch.setattr("workers.scheduler.LOOK_SECONDS", 0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A service, and a schedule that makes up for everything, which has missed some hours."""
    home = tmp_path_factory.mktemp("world") / "data"
    made = prepare(home)
    rules = {"cron": "@hourly", "catch_up": "all", "coalesce": False}
    snapshots = command("set-schedule", "set", {"kind": "create-snapshot", "service": SERVICE, **rules})
    publish(home, "8-set", encoded(snapshots | {"subject": f"tenant/{TENANT}/service/{NAME}"}))
    world = World(home, (*made.messages, "set"), 0, made.first_tree, made.second_tree)
    assert run_node(settings_of(home), world.finished, home.parent / "trace").exit_code == 0
    system = System(settings_of(home))
    with system.database._tx.write("test") as connection:
        connection.execute(text("UPDATE schedule SET next_at = next_at - :ms"), {"ms": HOURS * HOUR})
    system.close()
    return world


def finished(system: System) -> bool:
    """All of it is asked for and done, and every event is told."""
    asked = [one for one in system.database.list_operations(limit=100) if one.source == BY_SCHEDULE]
    done = len(asked) >= HOURS and all(one.state is State.SUCCEEDED for one in asked)
    return done and system.database.outbox.waiting()[0] == 0


def promises(world: World) -> None:
    """I2, I5, I25: one operation for each nominal time and service, and no time without one."""
    system = System(settings_of(world.home))
    history = system.database.schedules.history(TENANT, NAME, 100)
    asked = [one for one in system.database.list_operations(limit=100) if one.source == BY_SCHEDULE]
    assert len(history) >= HOURS
    assert {one.state.value for one in history} == {"asked"}
    by_row = Counter(op_id for one in history for op_id in one.operations)
    assert by_row == Counter(one.op_id for one in asked), "a row without its operation, or the reverse"
    assert set(by_row.values()) == {1}
    ids = Counter(one.message_id for one in asked)
    assert set(ids.values()) == {1}
    times = sorted(one.nominal_at for one in history)
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [HOUR] * (len(times) - 1)
    found = system.database.schedules.get(TENANT, NAME)
    assert found is not None and found.next_at == times[-1] + HOUR
    snapshots = system.database.catalogue.find(TENANT, [SERVICE], [], 100, None)
    assert len(snapshots) == len(asked) + 2, "one for each time, and the two of the world"
    system.close()


def run(world: World, trace: Path, death: Death | None) -> End:
    return run_node(settings_of(world.home), finished, trace, death)


def test_whoever_is_killed_while_a_schedule_asks_another_goes_on_and_nothing_is_asked_for_twice(
    world: World, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    reached = points_of(world, tmp_path, run, promises)
    points = [death for death in reached if death.point.startswith("schedule-") and death.hit == 1]
    assert {death.point.partition(".")[0] for death in points} >= {"schedule-lead", "schedule-plan", "schedule-ask"}
    another_finishes(world, points, tmp_path, subtests, run, promises)


def test_two_deaths_in_a_row_are_survived_too(world: World, tmp_path: Path) -> None:
    """The first dies between planning and asking, its successor while it asks."""
    copy = world.copy_to(tmp_path / "data")
    for death in (Death("schedule-plan.after-commit", 1), Death("schedule-ask.before-commit", 1), None):
        end = run(copy, tmp_path / "trace", death)
    assert end.exit_code == 0
    promises(copy)
