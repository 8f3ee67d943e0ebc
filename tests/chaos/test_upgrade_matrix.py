"""Kill -9 at the failpoints of upgrades and rollbacks; another process finishes; console, region and data agree.

The points are read from runs without faults. Of names that stand for one effect among many, such as a call to
the region, every hit is a point. `BACKSTAY_KILLS=all` dies at all of them; otherwise a sample that has every name.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.chaos.upgrade_promises import check, directory_is_whole
from tests.chaos.upgrade_world import SCENARIOS, UpgradeWorld, begin, install, survey
from tests.chaos.victim import Death, deaths
from tests.fakes.region import RegionDouble
from workers.bootstrap import System

#: Parts of the path that are reached once for every change: all their hits count, not only the first and the last.
EVERY_HIT = ("region", "intend", "advance", "conclude", "undo", "plan", "settle-wait")
ALL = os.environ.get("BACKSTAY_KILLS") == "all"
#: Without ALL, one point in so many; and in a region without fences, which is asked in the same places.
STEP, PLAIN_STEP, PAIR_STEP = 100, 200, 200


@dataclass(frozen=True, slots=True)
class Matrix:
    """A world ready to be copied, and where its node can die."""

    world: UpgradeWorld
    points: list[Death]


def points_of(trace: Sequence[str]) -> list[Death]:
    """In the order of the path."""
    counts = Counter(trace)
    chosen = {death for death in deaths(tuple(trace)) if death.point.partition(".")[0] not in EVERY_HIT}
    for name, count in counts.items():
        if name.partition(".")[0] in EVERY_HIT:
            chosen |= {Death(name, hit) for hit in range(1, count + 1)}
    seen: Counter[str] = Counter()
    order: dict[tuple[str, int], int] = {}
    for place, name in enumerate(trace):
        seen[name] += 1
        order[name, seen[name]] = place
    return sorted(chosen, key=lambda death: order[death.point, death.hit])


def sampled(matrices: dict[str, Matrix], step: int, elsewhere: set[str]) -> dict[str, list[Death]]:
    """Every `step`-th point of each scenario, and one of every name that these leave out and nobody takes elsewhere."""
    chosen = {name: matrix.points[step // 2 :: step] for name, matrix in matrices.items()}
    seen = elsewhere | {death.point for points in chosen.values() for death in points}
    for name, matrix in matrices.items():
        for death in matrix.points:
            if death.point not in seen:
                seen.add(death.point)
                chosen[name].append(death)
    return chosen


def named(matrices: dict[str, Matrix]) -> set[str]:
    """What their points are called."""
    return {death.point for matrix in matrices.values() for death in matrix.points}


def all_scenarios(home: Path, region: RegionDouble, *, fenced: bool) -> dict[str, Matrix]:
    """Every scenario set up, and run once without faults, which must itself keep all promises."""
    installed = install(home / "installed" / "data", region, fenced=fenced)
    found = {}
    for name, scenario in SCENARIOS.items():
        world, trace = survey(begin(installed, scenario, home / name), home / f"{name}-dry")
        found[name] = Matrix(world, points_of(trace))
    return found


@pytest.fixture(scope="module")
def fenced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Matrix]]:
    with RegionDouble(fenced=True) as region:
        yield all_scenarios(tmp_path_factory.mktemp("fenced"), region, fenced=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Matrix]]:
    with RegionDouble() as region:
        yield all_scenarios(tmp_path_factory.mktemp("plain"), region, fenced=False)


def survive(world: UpgradeWorld, home: Path, killed_at: Sequence[Death], database: str = "") -> None:
    """One worker after another dies there; the last one finishes, and every promise holds."""
    copy = world.copy_to(home, database)
    for number, death in enumerate(killed_at):
        died = copy.run(death)
        # The last hit of a point may fall away when threads meet otherwise; the first is always reached. So may
        # any point for a worker that takes over, because a part of the path is behind it.
        assert died.killed or death.hit > 1 or number, f"{death} was not reached"
        directory_is_whole(copy)
    assert copy.run().exit_code == 0, f"after {', '.join(map(str, killed_at))} nobody finished"
    system = System(copy.settings)
    check(copy, system)
    system.close()


def test_the_scenarios_reach_every_kind_of_effect(fenced: dict[str, Matrix], plain: dict[str, Matrix]) -> None:
    """A matrix that silently lost a part of the path would prove nothing about it."""
    parts = {point.partition(".")[0] for point in named(fenced) | named(plain)}
    expected = {"plan", "intend", "advance", "conclude", "region", "undo", "turn-back", "trees", "archive", "bump"}
    assert expected | {"settle-wait"} <= parts, f"reached only {sorted(parts)}"
    samples = (sampled(fenced, STEP, set()), sampled(plain, PLAIN_STEP, named(fenced)))
    taken = {death.point for sample in samples for points in sample.values() for death in points}
    assert taken == named(fenced) | named(plain)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.timeout(1800)
def test_whoever_is_killed_wherever_another_brings_it_to_its_one_end(
    fenced: dict[str, Matrix], name: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """I1, I2, I5, I7, I13, I15 to I18, and one deployment of each image, in a region that honours fences."""
    points = fenced[name].points if ALL else sampled(fenced, STEP, set())[name]
    for number, death in enumerate(points):
        with subtests.test(msg=str(death)):
            survive(fenced[name].world, tmp_path / str(number), [death])


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.timeout(1800)
def test_a_region_without_fences_ends_as_well(
    fenced: dict[str, Matrix], plain: dict[str, Matrix], name: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """The same in a region that lets nobody out: what was under way is waited for."""
    points = plain[name].points[1::3] if ALL else sampled(plain, PLAIN_STEP, named(fenced))[name]
    for number, death in enumerate(points):
        with subtests.test(msg=str(death)):
            survive(plain[name].world, tmp_path / str(number), [death])


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.timeout(1800)
def test_the_one_that_takes_over_may_die_too(
    fenced: dict[str, Matrix], name: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """Two deaths in a row: the second in what the first has left."""
    chosen = fenced[name].points[10 :: 12 if ALL else PAIR_STEP]
    for number, pair in enumerate(pairwise(chosen)):
        second = Death(pair[1].point, 1)
        with subtests.test(msg=f"{pair[0]} then {second}"):
            survive(fenced[name].world, tmp_path / str(number), [pair[0], second])


#: On PostgreSQL: around the commits and the effects that its transactions decide about.
ON_POSTGRESQL = {
    "upgrade": ("plan.after-commit#1", "advance.before-commit#4", "region.after-reply#9", "settle.before-commit#1"),
    "refused-half-way": (
        "turn-back.before-commit#1",
        "turn-back.after-commit#1",
        "undo.before-commit#3",
        "region.after-reply#17",
    ),
    "rollback": ("trees.before-swap#1", "trees.after-swap#1", "conclude.after-commit#4", "settle.after-commit#1"),
}


class Databases:
    """Copies of a PostgreSQL database, which nobody may be using meanwhile."""

    def __init__(self, url: str) -> None:
        base, _, self._name = url.rpartition("/")
        self._base = base
        self._engine = create_engine(f"{base}/postgres", isolation_level="AUTOCOMMIT")
        self._made: list[str] = []

    def copy(self, url: str) -> str:
        """The URL of a new copy."""
        name = f"{self._name}_{len(self._made)}"
        with self._engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {url.rpartition('/')[2]}"))
        self._made.append(name)
        return f"{self._base}/{name}"

    def close(self) -> None:
        """Drop them all."""
        with self._engine.connect() as connection:
            for name in self._made:
                connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        self._engine.dispose()


def test_on_postgresql_another_worker_brings_it_to_its_one_end_too(
    fresh_postgres_url: str, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """The same promises where commits are another server's."""
    databases = Databases(fresh_postgres_url)
    with RegionDouble(fenced=True) as region:
        installed = install(tmp_path / "installed" / "data", region, fenced=True, database=fresh_postgres_url)
        for name, killed_at in ON_POSTGRESQL.items():
            begun = begin(installed, SCENARIOS[name], tmp_path / name, databases.copy(installed.database))
            world, trace = survey(begun, tmp_path / f"{name}-dry", databases.copy(begun.database))
            chosen = [death for death in points_of(trace) if str(death) in killed_at]
            assert len(chosen) == len(killed_at), f"reached only {', '.join(map(str, chosen))}"
            for number, death in enumerate(chosen):
                with subtests.test(msg=f"{name}: {death}"):
                    survive(world, tmp_path / f"{name}-{number}", [death], databases.copy(begun.database))
    databases.close()
