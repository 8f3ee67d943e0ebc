"""`make prove MINUTES=…`: every proof that takes longer than the suite may, and the table of what they came to.

The time is shared among the proofs, two of which run at a time. The whole of it fails when it has found something, and
when it has missed a goal (`goals.py`). The last table stands in docs/reliability.md; `--write` puts this one there.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import random
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from tests.prove.cases import Line, Proof, tried
from tests.prove.failpoints import reached
from tests.prove.goals import missed, summary
from tests.prove.hosts import hosts
from tests.prove.proofs import disks, faults, kills, outages, simulated
from tests.prove.secrets import secrets
from tests.prove.stacks import STACKS

PAGE = Path("docs/reliability.md")
#: How much longer than the others a proof is given: the one is always busy and needs thousands of seeds, each of the
#: stacks has a thousand points, and some thirty kinds of fault take ten seconds each.
SHARES = (
    {"simulation": 7.0, "secrets": 2.0}
    | dict.fromkeys(STACKS, 3.0)
    | dict.fromkeys(("faults-redis", "faults-rabbit"), 1.5)
)
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def main() -> int:
    options = _options()
    began = time.monotonic()
    proofs = {name: proof for name, proof in _proofs().items() if options.only in ("", name)}
    # Some at a time: the time of each is such that all of them together take as long as was asked for.
    shares = sum(SHARES.get(name, 1.0) for name in proofs)
    share = options.minutes * 60 * min(options.processes, len(proofs)) / shares
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(tried, name, proof, share * SHARES.get(name, 1.0)) for name, proof in proofs.items()]
        lines = [line for name, job in zip(proofs, jobs, strict=True) for line in _lines(name, job)]
    if not options.only:
        lines.append(reached(lines))
    short = missed(lines) if not options.only else []
    table = _table(lines, short, time.monotonic() - began, whole=not options.only)
    print(table)
    for line in lines:
        for sentence in line.bad:
            print(f"VIOLATION {line.proof}: {sentence}")
    for sentence in short:
        print(f"MISSED {sentence}")
    if options.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")
    return 1 if short or any(line.bad for line in lines) else 0


def _lines(name: str, job: Future[list[Line]]) -> list[Line]:
    """Those of one proof, whose process may be gone."""
    try:
        return job.result()
    except BrokenProcessPool as error:
        return [Line(name, "its process died", 0, (str(error),))]


def _proofs() -> dict[str, Proof]:
    matrices = {name: partial(kills, name) for name in STACKS}
    seed = random.SystemRandom().randrange(10**7)
    servers = {f"faults-{name}": partial(faults, name) for name in STACKS if name != "embedded"}
    return {
        "simulation": partial(simulated, seed),
        **matrices,
        **servers,
        "outages": outages,
        "disk": disks,
        "hosts": hosts,
        "secrets": secrets,
    }


def _table(lines: list[Line], short: list[str], seconds: float, *, whole: bool) -> str:
    revision = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    busy = ", ".join(f"{load:.0f}" for load in os.getloadavg())
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    goals = f"Goals missed: {'; '.join(short)}." if short else "All goals reached." if whole else "A part: no goals."
    head = (
        f"{day}, {revision or 'no commit'}, {os.cpu_count()} cores (load {busy}), Python {platform.python_version()}, "
        f"{seconds / 60:.0f} minutes: {summary(lines)}. {goals}\n\n"
        "| proof | what was done | points | violations | besides |\n|---|---|---|---|---|\n"
    )
    rows = [f"| {line.proof} | {line.done} | {line.points} | {len(line.bad)} | {line.more} |" for line in lines]
    return head + "\n".join(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", choices=list(_proofs()), default="")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
