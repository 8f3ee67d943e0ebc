"""One case of a proof after the other: one that breaks off is a violation, told by its name, and the others go on.

Apart from the proofs because all of them go on like this. Whoever gives up is only said to have done so after several
cases in a row, because then it is not the case. What a broken case leaves running is ended.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pytest

from tests.chaos import victim

#: What a case breaks off with: also what a server raises that does not start in time, which is no Exception.
BROKEN_OFF = (Exception, pytest.fail.Exception, pytest.skip.Exception)
#: After so many in a row there is no sense in going on.
IN_A_ROW = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what was done how often, and what was found."""

    proof: str
    done: str
    points: int
    bad: tuple[str, ...] = ()
    more: str = ""
    seeds: int = 0  # of the simulation, whose points are simulated
    failpoints: frozenset[str] = frozenset()  # at which it has killed
    takeover: float = 0.0  # seconds after the end of a lease until another had taken over, at most


#: What is said of a thing for which there was no time; the goals are missed by it.
NO_TIME = "not done: the time was over"
#: A proof takes so many seconds and adds its lines as it has them, so that they stand when it cannot go on.
Proof = Callable[[float, list[Line]], None]
#: What it is called, and what is done.
Case = tuple[str, Callable[[], None]]


def tried(name: str, proof: Proof, seconds: float) -> list[Line]:
    """The proof's lines; one more that says why it could not go on, if it could not."""
    lines = list[Line]()
    try:
        proof(seconds, lines)
    except pytest.skip.Exception as error:
        lines.append(Line(name, f"not done: {error}", 0))
    except BROKEN_OFF:
        lines.append(Line(name, "could not go on", 0, (traceback.format_exc(),)))
    return lines


def case(what: str, act: Callable[[], None], bad: list[str]) -> bool:
    """Whether it was gone through with."""
    victim.started.clear()
    try:
        act()
    except BROKEN_OFF as error:
        victim.end_all()
        bad.append(f"{what} broke off: {told(error)}")
        return False
    return True


def until(deadline: float, cases: Iterable[Case], bad: list[str]) -> int:
    """One after the other until the time is over; how many there were."""
    done = broken = 0
    for what, act in cases:
        if time.monotonic() > deadline:
            break
        if broken == IN_A_ROW:
            bad.append(f"given up after {broken} cases in a row that broke off")
            break
        broken = 0 if case(what, act, bad) else broken + 1
        done += 1
    return done


def told(error: BaseException) -> str:
    """In one line: what it was, its words, and where."""
    words = (str(error).strip() or "no words").splitlines()[0]
    at = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {words} ({at.filename.rpartition('/')[2]}:{at.lineno}, {at.name})"
