"""`make fuzz SECONDS=…`: every target for so long under `atheris`, which finds its way by the branches it reaches.

Each target runs in a process of its own, with limits of memory and of time for one input: a reader that hangs or
fills memory is a finding as well. What was reached is kept in `.fuzz/` and is where the next run begins.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import shutil
import subprocess
import sys
from pathlib import Path

from tests.fuzz import TARGETS

KEPT = Path(__file__).parents[2] / ".fuzz"
#: Of one process, in MiB, and of one input, in seconds.
MEMORY, TIME = 1500, 20


def fuzz(name: str, seconds: int) -> bool:
    """Run one target; whether nothing was found."""
    corpus, findings = KEPT / name / "corpus", KEPT / name / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.fuzz", "--child", name, "--", str(corpus), f"-max_total_time={seconds}",
               f"-artifact_prefix={findings}/", f"-timeout={TIME}", f"-rss_limit_mb={MEMORY}", "-max_len=8192",
               "-print_final_stats=1"]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = done.stdout.splitlines()
    tried = next((line.split()[-1] for line in lines if "number_of_executed_units" in line), "?")
    reached = next((line for line in reversed(lines) if " cov: " in line), "").partition(" cov: ")[2].split(" ")[0]
    print(f"{name:9} {tried:>9} inputs in {seconds} s, {reached} branches, " + ("nothing" if not done.returncode else
          f"FOUND, see {findings}"), flush=True)  # fmt: skip
    if done.returncode:
        print(*lines[-60:], sep="\n")
    return not done.returncode


def _child(name: str, options: list[str]) -> None:
    logging.disable()  # a server tells of each request that is none
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["domain", "handlers", "storage", "workers", "tarfile", "cronsim"]):
        target = importlib.import_module(f"tests.fuzz.{name}").TARGET
    for number, seed in enumerate([*target.seeds(), *target.known()]):
        Path(options[0], f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options], target.one)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--only", choices=TARGETS, action="append")
    parser.add_argument("--anew", action="store_true", help="forget what earlier runs have reached")
    parser.add_argument("--child", choices=TARGETS, help=argparse.SUPPRESS)
    parser.add_argument("options", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        _child(given.child, given.options)
        return 0
    if given.anew:
        shutil.rmtree(KEPT, ignore_errors=True)
    fine = [fuzz(name, given.seconds) for name in given.only or TARGETS]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
