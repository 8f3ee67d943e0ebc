"""The proofs of `make prove`: each takes so many seconds in a process of its own and answers with lines of a table."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.region import RegionDouble
from tests.prove import disk
from tests.prove.bench import Bench
from tests.prove.campaign import carried_out, nemesis
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import Matrix, held
from tests.prove.nemesis import Family
from tests.prove.outages import SIGHTS, lived_through
from tests.prove.stacks import STACKS, stack
from tests.simulation.runs import run


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what was done how often, and what was found."""

    proof: str
    done: str
    points: int
    bad: tuple[str, ...] = ()
    more: str = ""


def tried(name: str, proof: Callable[[float], list[Line]], seconds: float) -> list[Line]:
    """The proof's lines; one that says why it could not go on, if it could not, so that the others are still told."""
    try:
        return proof(seconds)
    except Exception:  # noqa: BLE001 - whatever it was, it stands in the table as a violation
        return [Line(name, "could not go on", 0, (traceback.format_exc(),))]


def simulated(first: int, seconds: float) -> list[Line]:
    """Seeds from `first` on, half of the time in each mode."""
    lines = []
    for mode in ("fenced", "settle"):
        tally = run(mode, range(first, first + 10**7), seconds=seconds / 2)
        bad = tuple(f"seed {seed}: {sentences[0]}" for seed, sentences in tally.bad.items())
        done = f"{tally.seeds} seeds from {first}, {sum(tally.ends.values())} ends"
        hours = f"{tally.virtual_seconds / 3600:.0f} virtual hours"
        lines.append(Line(f"simulation, {mode}", done, sum(tally.fired.values()), bad, hours))
    return lines


def kills(name: str, seconds: float, share: float = 0.7) -> list[Line]:
    """Failpoints of all commands on one stack: for `share` of the time killed, then frozen."""
    home = Path(tempfile.mkdtemp(prefix="prove-"))
    try:
        with stack(name, home) as (environment, _), RegionDouble(fenced=True) as region:
            matrix = Matrix(Bench(home, region, environment))
            lines = _matrix(matrix, name, seconds, share)
            matrix.bench.close()
            return lines
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _matrix(matrix: Matrix, name: str, seconds: float, share: float) -> list[Line]:
    draw = random.Random(time.time_ns())
    points = {scenario: matrix.points(scenario) for scenario in SCENARIOS}
    killed = [(scenario, death) for scenario, found in points.items() for death in found]
    frozen = [(scenario, death) for scenario, found in points.items() for death in held(found)]
    for some in (killed, frozen):
        draw.shuffle(some)
    most, lines, began = len(killed), [], time.monotonic()
    until = began + share * seconds
    _until(until, lambda: matrix.kill(*killed.pop()), killed)
    kills, matrix.tally = matrix.tally, type(matrix.tally)()
    known = f"{len(points)} scenarios, {kills.reached} of {most} points"
    lines.append(Line(f"SIGKILL: {STACKS[name]}", known, kills.reached, tuple(kills.bad)))
    _until(began + seconds, lambda: matrix.freeze(*frozen.pop()), frozen)
    stops = matrix.tally
    slow = f"after the lease taken over within {stops.latest:.1f} s, ended within {stops.slowest:.1f} s"
    late = slow if stops.two_owners else ""
    done = f"{stops.reached} freezes, {stops.two_owners} with two owners, {stops.kept_the_lock} with a lock in hand"
    lines.append(Line(f"SIGSTOP beyond the lease: {STACKS[name]}", done, stops.reached, tuple(stops.bad), late))
    found = matrix.bench.secrets_found()
    lines.append(Line(f"marked secrets: {STACKS[name]}", "rows, objects, files, logs", 0, tuple(found)))
    return lines


def faults(name: str, seconds: float) -> list[Line]:
    """Servers that fail under two nodes, on one stack."""
    home = Path(tempfile.mkdtemp(prefix="prove-"))
    broker = "redis" if name == "redis" else "rabbitmq"
    try:
        with (
            stack(name, home) as (environment, servers),
            RegionDouble(fenced=True) as region,
            nemesis(home, region, environment, servers) as made,
        ):
            done, most = carried_out(made, broker, seconds)
            found = made.bench.secrets_found()
        lines = [_fault(family, found, STACKS[name]) for family, found in sorted(made.families.items()) if found.points]
        return [*lines, Line(f"faults of servers: {STACKS[name]}", f"{done} of {most} cases", 0, tuple(found))]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def outages(seconds: float) -> list[Line]:
    """Every server away for a while, once each, whatever the time; Redis and RabbitMQ in turn."""
    lines, began = [], time.monotonic()
    for name, kinds in (("redis", ("postgres", "rgw", "region", "redis")), ("rabbit", ("rabbitmq",))):
        home = Path(tempfile.mkdtemp(prefix="prove-"))
        region = RegionDouble(fenced=True, state_file=str(home / "region.json"))
        try:
            with stack(name, home) as (environment, servers), region:
                lines += [_outage(kind, bad) for kind, bad in lived_through(home, region, environment, servers, kinds)]
        finally:
            shutil.rmtree(home, ignore_errors=True)
        if time.monotonic() > began + seconds:
            break
    return lines


def _outage(kind: str, bad: list[str]) -> Line:
    sight = SIGHTS[kind]
    seen = f"doctor fails {sight.check}, /readyz {sight.ready}, {sight.event}, {sight.metric}"
    return Line(f"outage: {kind}", "two nodes as programs work through it", 1, tuple(bad), f"seen: {seen}")


def _fault(family: str, found: Family, where: str) -> Line:
    seen = ", ".join(f"{event} {count}" for event, count in found.seen.most_common(4)) or "nothing"
    return Line(
        f"{family}: {where}", f"slowest case {found.slowest:.0f} s", found.points, tuple(found.bad), f"seen: {seen}"
    )


def _until(deadline: float, act: Callable[[], None], left: Sequence[object]) -> None:
    while left and time.monotonic() < deadline:
        act()


def disks(seconds: float) -> list[Line]:
    """Power cuts at failpoints, and failing system calls, for the embedded node."""
    home = Path(tempfile.mkdtemp(prefix="prove-disk-"))
    try:
        return [*_power_cuts(home, seconds / 2), *_injections(home, seconds / 2)]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _power_cuts(home: Path, seconds: float) -> list[Line]:
    proof = "power cut (ext4): SQLite, spool, folder"
    if lacks := disk.missing():
        return [Line(proof, f"not done: {lacks}", 0)]
    began = time.monotonic()
    world, points = disk.begin(home)
    random.Random(time.time_ns()).shuffle(points)
    most, cut, bad = len(points), 0, []
    while points and time.monotonic() < began + seconds:
        reached, found = disk.power_cut(world, points.pop(), home)
        cut += reached
        bad += found
    return [Line(proof, f"{cut} of {most} points", cut, tuple(bad))]


def _injections(home: Path, seconds: float) -> list[Line]:
    proof = "strace inject: SQLite, spool, folder"
    if shutil.which("strace") is None:
        return [Line(proof, "not done: not installed: strace", 0)]
    began, draw = time.monotonic(), random.Random(time.time_ns())
    world, _ = disk.begin(home / "injections")
    done, bad = 0, []
    while time.monotonic() < began + seconds:
        what, call = draw.choice(disk.INJECTED), draw.choice(disk.CALLS)
        reached, found = disk.injected(world, what, call, draw.randint(1, 30), home)
        done += reached
        bad += found
    return [Line(proof, "SIGKILL, EIO, ENOSPC at the n-th fsync, fdatasync or rename", done, tuple(bad))]
