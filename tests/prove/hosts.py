"""What hosts do wrong, as proofs: full disks, networks that part nodes, clocks that are wrong.

Apart from the faults themselves, each of which is a module, because here is only how long each goes on and how its
line of the table reads. What cannot be done on this machine is said, and counts as nothing.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

from tests.prove import clocks, full, namespace, parted
from tests.prove.cases import Line, Proof, tried
from tests.prove.soak import LEASE


def hosts(seconds: float, lines: list[Line]) -> None:
    """All of them, one after the other; one that breaks off leaves their share to the others."""
    home, share = Path(tempfile.mkdtemp(prefix="prove-hosts-")), seconds / 4
    proofs: dict[str, Proof] = {
        "disk full": partial(_full, home / "full"),
        "partition": partial(_parted, home / "parted"),
        "clocks, each node's own": partial(_clocks, home / "own", shared=False),
        "clocks, the host's": partial(_clocks, home / "shared", shared=True),
    }
    try:
        for name, proof in proofs.items():
            lines += tried(name, proof, share)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _full(home: Path, seconds: float, lines: list[Line]) -> None:
    proof = "disk full: live trees, store, spool, database, data directory"
    if lacks := full.missing():
        lines.append(Line(proof, f"not done: {lacks}", 0))
        return
    found = full.run(home, seconds, random.Random(time.time_ns()))
    more = [f"{count} {end}" for end, count in found.ends.most_common()]
    more += [f"{found.asleep} runs met no lack of room"] if found.asleep else []
    lines.append(
        Line(
            proof, "blocks or inodes gone at a failpoint, and missed", found.reached, tuple(found.bad), ", ".join(more)
        )
    )


def _parted(home: Path, seconds: float, lines: list[Line]) -> None:
    proof = "partition: two namespaces, PostgreSQL and Redis on the far side"
    if lacks := namespace.missing():
        lines.append(Line(proof, f"not done: {lacks}", 0))
        return
    made, bad = parted.run(home, seconds, time.time_ns())
    cuts = sum(made.faults.values())
    done = f"{dict(made.faults)}, {LEASE} s of lease and at least {parted.BEYOND:.0f} s more"
    more = (
        f"{made.held} operations in hand when cut off, {made.passed_on} taken over, at most {made.latest:.1f} s after "
        f"the lease; {made.idle} shorter cuts met none; {len(made.messages)} commands"
    )
    if made.locked:
        more += f"; {made.locked} cuts with a row locked, taken over within {made.latest_locked:.1f} s"
    lines.append(Line(proof, done, cuts, tuple(bad), more, takeover=made.latest))


def _clocks(home: Path, seconds: float, lines: list[Line], *, shared: bool) -> None:
    proof = "clocks: SQLite goes by the host's" if shared else "clocks: each node's is wrong, PostgreSQL's is right"
    if lacks := clocks.missing():
        lines.append(Line(proof, f"not done: {lacks}", 0))
        return
    made, bad = clocks.run(home, seconds, time.time_ns(), shared=shared)
    more = f"{len(made.messages)} commands, {made.scheduled} more by schedules; {made.judged}"
    done = f"{sum(made.faults.values())} jumps to {dict(made.faults)}, each of the points another clock, from and to"
    lines.append(Line(proof, done, len(made.jumps), tuple(bad), more))
