"""Every failpoint that the code names, so that a proof can say at which of them nobody was killed.

Read from the text: a name that is put together would not be found, and there are none but the two of each transaction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.prove.cases import Line

ROOT = Path(__file__).parents[2]
ROOMS = ("domain", "handlers", "storage", "workers")
SIDES = ("before", "after")
_POINT = re.compile(r'\bfailpoint\(\s*"([a-z.-]+)"')
_TRANSACTION = re.compile(r'\.write\(\s*"([a-z-]+)"')


def named() -> set[str]:
    """All of them; a transaction has one on either side of its commit."""
    texts = [path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    commits = [path.read_text() for path in (ROOT / "storage" / "sql").rglob("*.py")]
    sides = (f"{name}.{side}-commit" for text in commits for name in _TRANSACTION.findall(text) for side in SIDES)
    return {name for text in texts for name in _POINT.findall(text)} | set(sides)


def reached(lines: Sequence[Line]) -> Line:
    """Which of them nodes were killed at, and in which parts of the code the others are."""
    every, there = named(), set[str]().union(*(line.failpoints for line in lines))
    others = ", ".join(sorted({name.partition(".")[0] for name in every - there}))
    done = f"{len(every & there)} of {len(every)} that the code names have a kill among the points above"
    return Line("failpoints", done, 0, more=f"not all of those of {others}")
