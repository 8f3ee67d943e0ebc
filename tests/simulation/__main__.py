"""`make simulate SECONDS=…`: seeds that nobody has tried, on all cores, until the time is over.

The seeds follow one another from a number that is drawn and printed (or `--first`), alternating the two modes. A seed
that fails is made shorter and told, with the command that replays it exactly.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import structlog

from tests.simulation import mutants
from tests.simulation.floor import Floor
from tests.simulation.runs import Tally, run
from tests.simulation.shorter import Failure, shorten, tell

MODES = ("fenced", "settle")
#: Seeds that one process may use up before the next one's begin.
SHARE = 10_000_000
LINES = 60


def main() -> int:
    options = _options()
    if options.replay:
        return _replay(options.replay, options.mutant)
    first = random.SystemRandom().randrange(SHARE) if options.first is None else options.first
    processes = options.processes or os.cpu_count() or 1
    print(f"seeds from {first} on, {processes} processes, {options.seconds} s", flush=True)
    tallies = simulate(first, options.seconds, processes, options.mutant)
    for mode, tally in tallies.items():
        print(f"{mode}: {tally}")
        for seed in list(tally.bad)[:3]:
            _replay(f"{mode}:{seed}", options.mutant, make_shorter=True)
    return 1 if any(tally.bad for tally in tallies.values()) else 0


def simulate(first: int, seconds: float, processes: int, mutant: str = "") -> dict[str, Tally]:
    """What each mode came to; every process runs each mode for half of the time."""
    found = {mode: Tally() for mode in MODES}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = {
            pool.submit(
                run, mode, range(first + number * SHARE, first + (number + 1) * SHARE), mutant=mutant,
                seconds=seconds / len(MODES),
            ): mode
            for number in range(processes)
            for mode in MODES
        }  # fmt: skip
        for job in as_completed(jobs):
            found[jobs[job]].add(job.result())
    return found


def _replay(which: str, mutant: str, *, make_shorter: bool = False) -> int:
    mode, _, rest = which.partition(":")
    seed, _, without = rest.partition(":")
    withheld = frozenset(map(int, filter(None, without.split(","))))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    with tempfile.TemporaryDirectory() as folder, mutants.planted(mutant):
        floor = Floor(Path(folder))
        told = tell(mode, int(seed), floor, withheld)
        if make_shorter and told.bad:
            told = shorten(told, lambda more: tell(mode, int(seed), floor, more))
    _print(told, mutant)
    return 1 if told.bad else 0


def _print(told: Failure, mutant: str) -> None:
    left_out = len(told.story) - LINES
    if left_out > 0:
        print(f"… {left_out} lines before")
    print(*told.story[-LINES:], sep="\n")
    print(f"{len(told.granted)} faults; wrong:", *(told.bad or ["nothing"]), sep="\n   ")
    print(f"again: {told.replay}" + (f" --mutant {mutant}" if mutant else ""))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--first", type=int, help="the first seed; drawn when it is not given")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--mutant", choices=mutants.MUTANTS, default="", help="with this bug planted")
    parser.add_argument("--replay", metavar="MODE:SEED[:WITHHELD]", help="one seed, and its story")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
