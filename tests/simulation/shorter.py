"""The shortest story that a failing seed still tells: faults are taken away from it for as long as it fails.

Apart from the runs because it is for a person who has to understand one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.floor import Floor
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed with some faults withheld, what is wrong in the end, and how it came to that."""

    mode: str
    seed: int
    withheld: frozenset[int]
    bad: tuple[str, ...]
    granted: tuple[int, ...]
    story: tuple[str, ...]

    @property
    def replay(self) -> str:
        """The command that tells the same story again."""
        without = ",".join(map(str, sorted(self.withheld)))
        return f"python -m tests.simulation --replay {self.mode}:{self.seed}" + (f":{without}" if without else "")


def tell(mode: str, seed: int, floor: Floor, withheld: frozenset[int] = frozenset()) -> Failure:
    """Run one seed once."""
    world = World(seed, fenced=mode == "fenced", floor=floor, withheld=withheld)
    bad = world.run()
    return Failure(mode, seed, withheld, tuple(bad), tuple(world.faults.granted), tuple(world.faults.story))


def shorten(first: Failure, run: Callable[[frozenset[int]], Failure], tries: int = 150) -> Failure:
    """Withhold ever smaller groups of faults, and keep what still fails. Other faults may come in their place: the
    seed is drawn on as before, so a shorter list is looked for and not a subset."""
    best, size = first, max(1, len(first.granted) // 2)
    while size and tries:
        at, before = 0, best
        while at < len(best.granted) and tries:
            tries -= 1
            found = run(best.withheld | set(best.granted[at : at + size]))
            if found.bad and len(found.granted) < len(best.granted):
                best = found
            else:
                at += size
        if best is before or size > 1:
            size //= 2
    return best
