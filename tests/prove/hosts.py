"""What hosts do wrong, as proofs: full disks, networks that part nodes, clocks that are wrong.

Apart from the faults themselves, each of which is a module, because here is only how long each goes on and how its
line of the table reads. What cannot be done on this machine is said, and counts as nothing.
"""

from __future__ import annotations

import random
import shutil
import tempfile
import time
from pathlib import Path

from tests.prove import full
from tests.prove.proofs import Line


def hosts(seconds: float) -> list[Line]:
    """All of them, one after the other."""
    home = Path(tempfile.mkdtemp(prefix="prove-hosts-"))
    try:
        return [_full(home / "full", seconds)]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _full(home: Path, seconds: float) -> Line:
    proof = "disk full: live trees, store, spool, database, data directory"
    if lacks := full.missing():
        return Line(proof, f"not done: {lacks}", 0)
    found = full.run(home, seconds, random.Random(time.time_ns()))
    ends = ", ".join(f"{count} {end}" for end, count in found.ends.most_common())
    return Line(proof, "blocks or inodes gone at a failpoint", found.reached, tuple(found.bad), ends)
