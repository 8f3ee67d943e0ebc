"""At which of the failpoints that the code names a proof has killed, and in which parts of the code the others are."""

from __future__ import annotations

from collections.abc import Sequence

from tests.dying import named
from tests.prove.cases import Line


def reached(lines: Sequence[Line]) -> Line:
    """Which of them nodes were killed at, and in which parts of the code the others are."""
    every, there = named(), set[str]().union(*(line.failpoints for line in lines))
    others = ", ".join(sorted({name.partition(".")[0] for name in every - there}))
    done = f"{len(every & there)} of {len(every)} that the code names have a kill among the points above"
    return Line("failpoints", done, 0, more=f"not all of those of {others}")
