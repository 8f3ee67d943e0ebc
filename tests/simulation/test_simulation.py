"""Thousands of small disasters in virtual time: whatever happens, every message ends in one true outcome.

BACKSTAY_SEEDS sets how many seeds each mode runs. Seeds are a fixed range, so that a failure reproduces:
`python -m tests.simulation --replay <mode>:<seed>`; `make simulate SECONDS=…` tries seeds that nobody has tried.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.simulation.floor import Floor
from tests.simulation.mutants import MUTANTS, planted
from tests.simulation.runs import Tally, run
from tests.simulation.shorter import shorten, tell

SEEDS = int(os.environ.get("BACKSTAY_SEEDS", "100"))
PROCESSES = 2
#: Faults of which none may be missing in a hundred seeds: a nemesis that has fallen asleep would prove nothing.
NEEDED = {"crash", "stall", "commit-unanswered", "redelivered", "event-lost", "late", "applied-cut", "lying-200"}


def _on_all_cores(mode: str, seeds: int) -> Tally:
    shares = [range(first, seeds, PROCESSES) for first in range(PROCESSES)]
    whole = Tally()
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for share in pool.map(partial(run, mode), shares):
            whole.add(share)
    return whole


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["fenced", "settle"])
def test_every_message_ends_in_one_true_outcome_whatever_happens(mode: str) -> None:
    """I1 to I12, I19 to I21, I30: workers die and stall, requests are lost, delayed and repeated; then everything must
    be right."""
    tally = _on_all_cores(mode, SEEDS)
    print(f"\n{mode}: {tally}")
    assert not tally.bad, f"{mode}: " + "\n".join(f"seed {seed}: {lines[0]}" for seed, lines in tally.bad.items())
    assert tally.seeds == SEEDS
    assert SEEDS < 100 or not (NEEDED - set(tally.fired)), tally.fired


@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_planted_bug_is_caught(mutant: str) -> None:
    """A simulation in which a known bug goes unseen proves nothing about the unknown ones; nor does one that speaks of
    something else, or that is not content without it."""
    mode, seeds, _, told = MUTANTS[mutant]
    tally = run(mode, seeds, mutant=mutant, stop_at_first=True)
    assert tally.bad, f"{len(seeds)} seeds did not notice {mutant}"
    ((seed, sentences),) = tally.bad.items()
    assert any(re.search(told, sentence) for sentence in sentences), sentences
    assert run(mode, range(seed, seed + 1)).bad == {}


def test_a_failing_seed_is_told_in_its_shortest_form_and_replays_exactly(tmp_path: Path) -> None:
    """Whoever reads the story has few faults to think about, and gets it again as often as wanted."""
    with planted("takeover-keeps-the-fence"):
        floor = Floor(tmp_path)
        whole = tell("settle", 0, floor)
        short = shorten(whole, partial(tell, "settle", 0, floor), tries=40)
        again = tell("settle", 0, floor, short.withheld)
    assert whole.bad and short.bad
    assert len(short.granted) <= 5 < len(whole.granted), short.story
    assert (again.granted, [plain(line) for line in again.story]) == (
        short.granted,
        [plain(line) for line in short.story],
    )


def plain(line: str) -> str:
    """Without the ids that are made anew in every run."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", line)


def test_a_seed_always_runs_the_same_way() -> None:
    """Without this a failing seed would be a rumour."""
    one, other = (run("fenced", range(40, 44)) for _ in range(2))
    assert (one.switches, one.virtual_seconds, one.fired, one.ends) == (
        other.switches,
        other.virtual_seconds,
        other.fired,
        other.ends,
    )


def test_a_place_that_is_struck_again_is_no_other_place() -> None:
    """What a fault struck is told apart from how often: the same seed a second time strikes nothing new, the other mode
    is another place."""
    once, whole, other = run("fenced", range(40, 44)), run("fenced", range(40, 44)), run("settle", range(40, 44))
    whole.add(once)
    assert whole.fired.total() == 2 * once.fired.total()
    assert whole.places == once.places
    assert 10 < len(once.places) < once.fired.total()
    assert {mode for mode, _, _ in once.places | other.places} == {"fenced", "settle"}
    assert all(re.fullmatch(r"[a-z-]+(\.[a-z-]+)*", place) for _, _, place in once.places | other.places)
