"""One death after another: a run without faults tells where a node can die; it dies there, and another finishes.

Apart from `victim`, which lets one node live or die, because here is the order in which a suite does that, and what
it asserts of every suite's world: each death did happen, and somebody finished after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.chaos.victim import Death, End, deaths
from tests.chaos.world import World

#: Lets a node work in a world until it has finished, or dies.
Run = Callable[[World, Path, Death | None], End]


def points_of(world: World, home: Path, run: Run, promises: Callable[[World], None]) -> list[Death]:
    """The first and the last hit of each failpoint in a copy beneath `home` in which nobody dies."""
    copy = world.copy_to(home / "dry" / "data")
    end = run(copy, home / "dry-trace", None)
    assert end.exit_code == 0, "without a death nobody finished"
    promises(copy)
    return deaths(end.trace)


def another_finishes(
    world: World,
    points: Iterable[Death],
    home: Path,
    subtests: pytest.Subtests,
    run: Run,
    promises: Callable[[World], None],
) -> None:
    """Each death in a copy of its own, and what was promised after somebody else has finished."""
    for number, death in enumerate(points):
        with subtests.test(msg=str(death)):
            copy, trace = world.copy_to(home / str(number) / "data"), home / f"trace-{number}"
            died = run(copy, trace, death)
            # The last hit of a point may fall away when threads meet otherwise; the first is always reached.
            assert died.killed or death.hit > 1, f"{death} was not reached"
            assert run(copy, trace, None).exit_code == 0, f"after {death} nobody finished"
            promises(copy)
