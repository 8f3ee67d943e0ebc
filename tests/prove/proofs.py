"""The proofs of `make prove`: each takes so many seconds in a process of its own and tells lines of a table."""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.chaos.victim import Death
from tests.fakes.region import RegionDouble
from tests.prove import disk
from tests.prove.bench import Bench
from tests.prove.campaign import carried_out, nemesis
from tests.prove.cases import IN_A_ROW, NO_TIME, Case, Line, case, until
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import Matrix, Tally, held
from tests.prove.nemesis import WITHOUT, Family
from tests.prove.outages import SIGHTS, lived_through
from tests.prove.stacks import STACKS, stack
from tests.prove.unseen import Unseen
from tests.simulation.runs import Tally as Seeds
from tests.simulation.runs import run

#: Seeds that are tried together: if the simulation itself breaks, no more than these are lost.
PIECE = 25
#: Stacks whose region honours no fence, as the known ones: their nodes wait until nothing can land any more.
UNFENCED = ("rabbit",)
#: Of the kills that leave a lease, every how many-th nobody sees.
EVERY = 5
#: A scenario, and where in it.
Point = tuple[str, Death]
#: Stack -> what is away there for a while. What both stacks have, once.
TAKEN_AWAY = {"redis": ("postgres", "rgw", "region", "redis"), "rabbit": ("rabbitmq",)}


def simulated(first: int, seconds: float, lines: list[Line]) -> None:
    """Seeds from `first` on, half of the time in each mode."""
    for mode in ("fenced", "settle"):
        tally, broken, over = Seeds(), list[str](), time.monotonic() + seconds / 2
        for start in range(first, first + 10**7, PIECE):
            piece, left = range(start, start + PIECE), over - time.monotonic()
            if left <= 0 or len(broken) == IN_A_ROW:
                break
            case(f"seeds {start} to {start + PIECE - 1}", lambda: tally.add(run(mode, piece, seconds=left)), broken)  # noqa: B023 - called at once
        bad = [f"seed {seed}: {sentences[0]}" for seed, sentences in tally.bad.items()] + broken
        done = f"{tally.seeds} seeds from {first}, {sum(tally.ends.values())} ends"
        more = f"{tally.virtual_seconds / 3600:.0f} virtual hours, {len(tally.places)} distinct places"
        lines.append(Line(f"simulation, {mode}", done, sum(tally.fired.values()), tuple(bad), more, tally.seeds))


def kills(name: str, seconds: float, lines: list[Line], share: float = 0.75) -> None:
    """Failpoints of all commands on one stack: for `share` of the time killed, then frozen."""
    home = Path(tempfile.mkdtemp(prefix="prove-"))
    try:
        fenced = name not in UNFENCED
        with stack(name, home) as (environment, servers), ExitStack() as closing:
            regions = [closing.enter_context(RegionDouble(fenced=fenced)) for _ in range(2)]
            matrix = Matrix(Bench(home, regions[0], environment, fenced=fenced))
            apart = Bench(home / "apart", regions[1], servers.beside(), fenced=fenced)
            _matrix(matrix, apart, name, seconds, share, lines)
            for bench in (matrix.bench, apart):
                bench.close()
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _matrix(matrix: Matrix, apart: Bench, name: str, seconds: float, share: float, lines: list[Line]) -> None:
    draw, points = random.Random(time.time_ns()), dict[str, list[Death]]()
    for scenario in SCENARIOS:
        case(f"{scenario} without faults", partial(_find, matrix, scenario, points), matrix.tally.bad)
    killed = [(scenario, death) for scenario, found in points.items() for death in found]
    # A node that wakes in the middle of a call is held off by nothing but a fence.
    frozen = [
        (scenario, death)
        for scenario, found in points.items()
        for death in held(found)
        if name not in UNFENCED or not SCENARIOS[scenario].region
    ]
    for some in (killed, frozen):
        draw.shuffle(some)
    seen, unseen = seen_or_not(killed)
    began, kills, alone = time.monotonic(), matrix.tally, Unseen(apart, unseen)
    cases: list[Case] = [(f"{one} killed at {death}", partial(matrix.kill, one, death)) for one, death in seen]
    until(began + share * seconds, alone.among(cases), kills.bad)
    alone.finish(kills.bad)
    lines += [of_kills(name, kills, len(points), len(seen)), of_unseen(name, alone.tally, len(unseen))]
    stops = matrix.tally = Tally()
    cases = [(f"{one} frozen at {death}", partial(matrix.freeze, one, death)) for one, death in frozen]
    until(began + seconds, cases, stops.bad)
    lines.append(of_freezes(name, stops, len(frozen)))
    found = matrix.bench.secrets_found() + apart.secrets_found()
    lines.append(Line(f"marked secrets: {STACKS[name]}", "rows, objects, files, logs", 0, tuple(found)))


def seen_or_not(killed: list[Point]) -> tuple[list[Point], list[Point]]:
    """The points at which the successor sees the death, and those at which it does not: every fifth of those at which
    there is a lease to wait for. No point is of both."""
    unseen = [(one, death) for one, death in killed if held([death])][::EVERY]
    apart = set(unseen)
    return [point for point in killed if point not in apart], unseen


def of_kills(name: str, kills: Tally, scenarios: int, most: int) -> Line:
    """Of kills whose successor sees them; `most`: so many points there are."""
    known = f"{scenarios} scenarios, {kills.reached} of {most} points"
    more = "a region without fences" if name in UNFENCED else ""
    struck = frozenset(kills.struck)
    return Line(f"SIGKILL: {STACKS[name]}", known, kills.reached, tuple(kills.bad), more, failpoints=struck)


def of_unseen(name: str, kills: Tally, most: int) -> Line:
    """Of the others, as long as they have left a lease."""
    proof, done = f"SIGKILL that nobody sees: {STACKS[name]}", f"{kills.reached} of {most} points, a lease waited for"
    late = f"after the lease taken over within {kills.latest:.1f} s" if kills.two_owners else ""
    struck, bad = frozenset(kills.struck), tuple(kills.bad)
    return Line(proof, done, kills.reached, bad, late, failpoints=struck, takeover=kills.latest)


def of_freezes(name: str, stops: Tally, most: int) -> Line:
    """Of the nodes that were frozen with an operation in hand."""
    slow = f"after the lease taken over within {stops.latest:.1f} s, ended within {stops.slowest:.1f} s"
    late = slow if stops.latest else ""
    if stops.inside:
        late += f"; {stops.inside} with its row locked, within {stops.latest_inside:.1f} s"
    done = (
        f"{stops.reached} of {most} points, {stops.two_owners} with two owners, "
        f"{stops.together} of them awake beside the other, {stops.kept_the_lock} with a lock in hand"
    )
    latest = max(stops.latest, stops.latest_inside)
    return Line(
        f"SIGSTOP beyond the lease: {STACKS[name]}", done, stops.reached, tuple(stops.bad), late, takeover=latest
    )


def _find(matrix: Matrix, scenario: str, points: dict[str, list[Death]]) -> None:
    points[scenario] = matrix.points(scenario)


def faults(name: str, seconds: float, lines: list[Line]) -> None:
    """Servers that fail under two nodes, on one stack."""
    home = Path(tempfile.mkdtemp(prefix="prove-"))
    broker, bad, told = "redis" if name == "redis" else "rabbitmq", list[str](), "none of its cases"
    try:
        with (
            stack(name, home) as (environment, servers),
            RegionDouble(fenced=True) as region,
            nemesis(home, region, environment, servers) as made,
        ):
            try:
                done, most = carried_out(made, broker, seconds, bad)
                told = f"{done} of {most} cases"
                bad += made.bench.secrets_found()
            finally:
                families = [pair for pair in made.families.items() if pair[0] != WITHOUT or pair[1].bad]
                lines += [_fault(one, found, STACKS[name]) for one, found in sorted(families)]
                lines.append(Line(f"faults of servers: {STACKS[name]}", told, 0, tuple(bad)))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def outages(seconds: float, lines: list[Line]) -> None:
    """Every server away for a while, once each; those of a stack that is not begun in time are told as not done."""
    over = time.monotonic() + seconds
    for number, (name, kinds) in enumerate(TAKEN_AWAY.items()):
        if number and time.monotonic() > over:
            lines += [Line(f"outage: {kind}", NO_TIME, 0) for kind in kinds]
            continue
        home = Path(tempfile.mkdtemp(prefix="prove-"))
        region = RegionDouble(fenced=True, state_file=str(home / "region.json"))
        try:
            with stack(name, home) as (environment, servers), region:
                for kind, bad in lived_through(home, region, environment, servers, kinds):
                    lines.append(_outage(kind, bad))
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _outage(kind: str, bad: list[str]) -> Line:
    sight = SIGHTS[kind]
    seen = f"doctor fails {sight.check}, /readyz {sight.ready}, {sight.event}, {sight.metric}"
    return Line(f"outage: {kind}", "two nodes as programs work through it", 1, tuple(bad), f"seen: {seen}")


def _fault(family: str, found: Family, where: str) -> Line:
    seen = ", ".join(f"{event} {count}" for event, count in found.seen.most_common(4)) or "nothing"
    done = f"slowest case {found.slowest:.0f} s" if found.points else found.not_done()
    return Line(f"{family}: {where}", done, found.points, tuple(found.bad), f"seen: {seen}")


def disks(seconds: float, lines: list[Line]) -> None:
    """Power cuts at failpoints, and failing system calls, for the embedded node."""
    home = Path(tempfile.mkdtemp(prefix="prove-disk-"))
    try:
        lines.append(_power_cuts(home, seconds / 2))
        lines.append(_injections(home, seconds / 2))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _power_cuts(home: Path, seconds: float) -> Line:
    proof = "power cut (ext4): SQLite, spool, folder"
    if lacks := disk.missing():
        return Line(proof, f"not done: {lacks}", 0)
    began = time.monotonic()
    world, points = disk.begin(home)
    random.Random(time.time_ns()).shuffle(points)
    most, found = len(points), disk.Found()
    cases = [(f"power cut at {death}", partial(disk.power_cut, world, death, home, found)) for death in points]
    until(began + seconds, cases, found.bad)
    return Line(proof, f"{len(found.points)} of {most} points", len(found.points), tuple(found.bad))


def _injections(home: Path, seconds: float) -> Line:
    proof = "strace inject: SQLite, spool, folder"
    if shutil.which("strace") is None:
        return Line(proof, "not done: not installed: strace", 0)
    began, found = time.monotonic(), disk.Found()
    world, _ = disk.begin(home / "injections")
    made = disk.calls_made(world, home)
    numbered = [(call, number) for call, most in made.items() for number in range(1, most + 1)]
    every = list(itertools.product(disk.INJECTED, numbered))
    random.Random(time.time_ns()).shuffle(every)
    cases = [
        (f"{what} at {call} {number}", partial(disk.injected, world, what, call, number, home, found))
        for what, (call, number) in every
    ]
    until(began + seconds, cases, found.bad)
    calls = ", ".join(call for call, most in made.items() if most)
    done = f"{len(found.points)} of {len(every)} points: SIGKILL, EIO, ENOSPC at every thread's n-th {calls}"
    more = f"{found.asleep} runs without one" if found.asleep else ""
    return Line(proof, done, len(found.points), tuple(found.bad), more)
