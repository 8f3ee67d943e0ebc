"""Runs seeds one after the other in this process, each on its own copy of one migrated database.

Apart from the tests so that worker processes can be given a range of seeds.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from tests.simulation import mutants
from tests.simulation.floor import Floor
from tests.simulation.world import World


@dataclass
class Tally:
    """What a range of seeds came to."""

    seeds: int = 0
    bad: dict[int, list[str]] = field(default_factory=dict)
    fired: Counter[str] = field(default_factory=Counter)
    #: Mode, kind of fault, failpoint or call: what was struck at least once, in whatever seed and after whatever.
    places: set[tuple[str, str, str]] = field(default_factory=set)
    ends: Counter[str] = field(default_factory=Counter)
    switches: int = 0
    virtual_seconds: float = 0.0
    seconds: float = 0.0

    def add(self, other: Tally) -> None:
        """Both together; seconds are those of the longer."""
        self.seeds += other.seeds
        self.bad |= other.bad
        self.fired += other.fired
        self.places |= other.places
        self.ends += other.ends
        self.switches += other.switches
        self.virtual_seconds += other.virtual_seconds
        self.seconds = max(self.seconds, other.seconds)

    def __str__(self) -> str:
        rate = self.seeds / self.seconds if self.seconds else 0.0
        return (
            f"{self.seeds} seeds, {rate:.1f}/s a process, {len(self.bad)} bad; {self.virtual_seconds / 3600:.0f} h; "
            f"{self.switches} turns; {dict(self.ends)}; {dict(self.fired)}; {len(self.places)} distinct places"
        )


def run(mode: str, seeds: range, *, mutant: str = "", stop_at_first: bool = False, seconds: float = 1e9) -> Tally:
    """Run the seeds in `mode` ("fenced" or "settle"), with a planted bug if one is named."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    tally, began = Tally(), time.monotonic()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, mutants.planted(mutant):
        floor = Floor(Path(folder))
        for seed in seeds:
            _one(tally, mode, seed, floor)
            if (stop_at_first and tally.bad) or time.monotonic() - began > seconds:
                break
    tally.seconds = time.monotonic() - began
    return tally


def _one(tally: Tally, mode: str, seed: int, floor: Floor) -> None:
    world = World(seed, fenced=mode == "fenced", floor=floor)
    bad = world.run()
    tally.seeds += 1
    if bad:
        tally.bad[seed] = bad
    tally.fired += world.faults.fired
    tally.places |= {(mode, name, place) for name, place in world.faults.places}
    tally.ends += Counter(f"{found.kind} {found.state}" for found in world.truth.ended)
    tally.switches += world.schedule.switches
    tally.virtual_seconds += world.schedule.now
