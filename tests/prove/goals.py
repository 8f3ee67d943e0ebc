"""What a whole `make prove` must come to, and which of that it has missed.

Apart from the table, which tells what was found, whatever it is: a run that has found nothing because it has hardly
looked is no proof.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.prove.cases import Line

#: Kill and fault points, simulated and real together; seeds of the simulation.
POINTS, SEEDS = 10_000, 5_000
#: Of the points those on real processes, each another one.
REAL = 2_000
#: Seconds after the end of a lease within which another has taken over what the holder left or forgot.
TAKEOVER = 5.0
#: How the proofs begin whose lines only tell what was looked at: there are no points of them.
LOOKS = ("marked secrets", "search for secrets", "faults of servers", "failpoints")


def missed(lines: Sequence[Line]) -> list[str]:
    """Sentences about goals that the run has not reached; empty when it has reached all."""
    points, seeds = sum(line.points for line in lines), sum(line.seeds for line in lines)
    bad, real = sum(len(line.bad) for line in lines), _real(lines)
    found = [f"{points} kill and fault points, not {POINTS}"] if points < POINTS else []
    found += [f"{real} points on real processes, not {REAL}"] if real < REAL else []
    found += [f"{seeds} seeds, not {SEEDS}"] if seeds < SEEDS else []
    found += [
        f"{line.proof}: taken over {line.takeover:.1f} s after the end of the lease, not within {TAKEOVER:.0f} s"
        for line in lines
        if line.takeover > TAKEOVER
    ]
    found += [f"{bad} violations, not 0"] if bad else []
    return found + [_undone(line) for line in lines if line.done.startswith("not done") or _is_empty(line)]


def _is_empty(line: Line) -> bool:
    """A proof that has done nothing has found nothing either."""
    return not line.points and not line.proof.startswith(LOOKS)


def _undone(line: Line) -> str:
    return f"{line.proof}: {line.done}" + ("" if line.done.startswith("not done") else ", and no point")


def summary(lines: Sequence[Line]) -> str:
    """What was simulated, and what was done to real processes, apart."""
    simulated = sum(line.points for line in lines if line.seeds)
    real = _real(lines)
    bad, seeds = sum(len(line.bad) for line in lines), sum(line.seeds for line in lines)
    return f"{real} points on real processes and {simulated} simulated in {seeds} seeds, {bad} violations"


def _real(lines: Sequence[Line]) -> int:
    return sum(line.points for line in lines if not line.seeds)
