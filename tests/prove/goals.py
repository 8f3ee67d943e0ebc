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
#: Seconds after the end of a lease within which another node has taken over what a frozen one held.
TAKEOVER = 5.0


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
    return found + [f"{line.proof}: {line.done}" for line in lines if line.done.startswith("not done")]


def summary(lines: Sequence[Line]) -> str:
    """What was simulated, and what was done to real processes, apart."""
    simulated = sum(line.points for line in lines if line.seeds)
    real = _real(lines)
    bad, seeds = sum(len(line.bad) for line in lines), sum(line.seeds for line in lines)
    return f"{real} points on real processes and {simulated} simulated in {seeds} seeds, {bad} violations"


def _real(lines: Sequence[Line]) -> int:
    return sum(line.points for line in lines if not line.seeds)
