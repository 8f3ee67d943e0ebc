"""Every fault of `nemesis.py` at every moment that there is, in a drawn order, until the time is over.

Apart from the nemesis, which knows how to bring one about. Every kind of fault is brought about once before the rest
is drawn: some have a handful of cases among thousands. Then families take turns, so that a slow one (RabbitMQ takes ten
seconds to start) does not take the time of the others.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from tests.chaos.victim import Death
from tests.fakes.region import RegionDouble
from tests.prove.bench import Bench
from tests.prove.cases import BROKEN_OFF, case, until
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import Matrix
from tests.prove.moment import COMMIT
from tests.prove.nemesis import FORGETS, Nemesis, immediately, killed, stopped
from tests.prove.stacks import Servers
from tests.prove.wire import Wire


class Fault(NamedTuple):
    """One case; `kind` is the nemesis' family of it."""

    kind: str
    act: partial[None]


#: The scenarios whose servers fail: what reads, what writes, and both ends of what changes a region.
KINDS = ("create", "restore", "upgrade", "upgrade-fails", "rollback")


def _answer(status: str, code: str) -> str:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>later</Message></Error>"
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close"
    return f"{head}\r\n\r\n{body}"


BUSY, BROKEN = _answer("503 Slow Down", "SlowDown"), _answer("500 Internal Server Error", "InternalError")
#: What becomes of one request to the object store. The head of Ceph's answer has some 300 bytes.
STORE: dict[str, dict[str, Any]] = {
    "request lost": {"do": "lose-request"},
    "answer lost": {"do": "lose-answer"},
    "answer cut in its head": {"do": "lose-answer", "bytes": 60},
    "answer cut in its body": {"do": "lose-answer", "bytes": 500},
    "request cut in its body": {"do": "cut-request", "bytes": 1500},
    "500": {"do": "answer", "text": BROKEN},
    "503 SlowDown": {"do": "answer", "text": BUSY},
    "done, and 500": {"do": "answer-instead", "text": BROKEN},
}
METHODS = ("PUT /", "GET /", "POST /", "DELETE /")
#: Half a second before each answer, and 200 kB a second.
SLOW = {"do": "slow", "seconds": 0.5, "rate": 200_000, "times": 10**6}
#: An event that is published, and a command that is acknowledged, as the brokers' protocols spell them.
BROKERS = {"redis": ("\r\nXADD\r\n", "\r\nXACK\r\n"), "rabbitmq": ("\0\x3c\0\x28", "\0\x3c\0\x50")}
#: What becomes of one call of a region.
REGION = ("cut-before", "cut-after", "empty-500", "half-body", "504-applied", "late")
#: What becomes of a COMMIT, and of an event or an acknowledgement.
COMMITS, LOST = ("lose-request", "lose-answer"), ("request lost", "answer lost")
#: How a server goes, and what that is called.
POSTGRES = {"restarted": stopped, "shut down at once": immediately, "killed": killed}
BROKER = {"restarted": stopped, "killed": killed}
#: Cases of one kind that are tried first, until it has happened: a moment may not be reached, or a request not sent.
TRIES = 4


def kinds(broker: str) -> list[str]:
    """Every kind of fault, whether or not there is a moment for it."""
    away = [f"postgres {words}" for words in POSTGRES] + [f"{broker} {words}" for words in BROKER]
    away += [FORGETS] if broker == "redis" else []
    requests = [f"rgw: {words}" for words in (*STORE, "slow")] + [f"broker: {words}" for words in LOST]
    region = [f"region: {words}" for words in (*(f"one call {do}" for do in REGION), "flapping", "away for 12 calls")]
    return [f"COMMIT: {do}" for do in COMMITS] + away + requests + region


def planned(nemesis: Nemesis, broker: str, bad: list[str]) -> dict[str, list[Fault]]:
    """By whose turn it is; which moments there are is found by runs without faults."""
    found: dict[str, list[Fault]] = {"commits": [], "postgres": [], "broker": [], "store": [], "wire": [], "region": []}
    for name in KINDS:
        case(f"{name} without faults", partial(_add_cases, nemesis, broker, name, found), bad)
    return found


def _add_cases(nemesis: Nemesis, broker: str, name: str, found: dict[str, list[Fault]]) -> None:
    points = nemesis.matrix.points(name)
    commits = [death for death in points if death.point.endswith(COMMIT)]
    for death, do in itertools.product(commits, COMMITS):
        found["commits"].append(Fault(f"COMMIT: {do}", partial(nemesis.commit, name, death, do)))
    for death in points:
        for words, how in POSTGRES.items():
            act = partial(nemesis.away, name, death, "postgres", how, words)
            found["postgres"].append(Fault(f"postgres {words}", act))
        for words, how in BROKER.items():
            act = partial(nemesis.away, name, death, broker, how, words)
            found["broker"].append(Fault(f"{broker} {words}", act))
        if broker == "redis":
            found["broker"].append(Fault(FORGETS, partial(nemesis.forgotten, name, death)))
    seen, calls = nemesis.moments(name, {"rgw": METHODS, "broker": BROKERS[broker]})
    found["store"] += _requests(nemesis, name, "rgw", seen["rgw"], STORE)
    rule = {"match": "/"} | SLOW
    found["store"].append(Fault("rgw: slow", partial(nemesis.request, name, "rgw", rule, "slow")))
    lost = {words: STORE[words] for words in LOST}
    found["wire"] += _requests(nemesis, name, "broker", seen["broker"], lost)
    if SCENARIOS[name].region:
        found["region"] += _region(nemesis, name, calls)


def _requests(
    nemesis: Nemesis, name: str, to: str, seen: Counter[str], faults: dict[str, dict[str, Any]]
) -> Iterator[Fault]:
    for match, most in seen.items():
        for nth, (words, rule) in itertools.product(range(1, most + 1), faults.items()):
            if "request cut" not in words or match == "PUT /":
                act = partial(nemesis.request, name, to, {"match": match, "nth": nth} | rule, words)
                yield Fault(f"{to}: {words}", act)


def _region(nemesis: Nemesis, name: str, most: int) -> Iterator[Fault]:
    for nth, do in itertools.product(range(1, most + 1), REGION):
        rule = {"match": {"nth": nth}, "do": {"action": do, "delay_ms": 500} if do == "late" else do}
        yield _misbehaves(nemesis, name, [rule], f"one call {do}", f" ({nth})")
    for first in (1, 2):
        every_other = [{"match": {"nth": nth}, "do": "cut-before"} for nth in range(first, 2 * most, 2)]
        yield _misbehaves(nemesis, name, every_other, "flapping", f" (from {first})")
    yield _misbehaves(nemesis, name, [{"do": {"status": 503}, "times": 12}], "away for 12 calls")


def _misbehaves(nemesis: Nemesis, name: str, rules: list[dict[str, Any]], words: str, which: str = "") -> Fault:
    return Fault(f"region: {words}", partial(nemesis.region, name, rules, words + which))


@contextlib.contextmanager
def nemesis(home: Path, region: RegionDouble, environment: dict[str, str], servers: Servers) -> Iterator[Nemesis]:
    """On a stack that runs, with a wire to each of its servers."""
    with contextlib.ExitStack() as closing:
        store = parse_qs(urlsplit(environment["BACKSTAY_STORE_URL"]).query)["endpoint"][0]
        ways = {"postgres": environment["DATABASE_URL"], "broker": environment["BROKER_URL"], "rgw": store}
        wires = {to: Wire(url) for to, url in ways.items()}
        for wire in wires.values():
            closing.callback(wire.close)
        bench = Bench(home, region, environment)
        closing.callback(bench.close)
        yield Nemesis(Matrix(bench), servers, wires)


def carried_out(nemesis: Nemesis, broker: str, seconds: float, bad: list[str]) -> tuple[int, int]:
    """How many cases there were time for, and how many there are; `bad` takes those that broke off."""
    over, draw = time.monotonic() + seconds, random.Random(time.time_ns())
    for kind in kinds(broker):
        nemesis.families[kind]  # is told, also when there is no time for it
    families = list(planned(nemesis, broker, bad).values())
    for family in families:
        draw.shuffle(family)
    faults = turns(families, lambda kind: nemesis.families[kind].points > 0)
    cases = ((_words(fault.act), partial(_struck, nemesis, fault.act)) for fault in faults)
    return until(over, cases, bad), sum(map(len, families))


def turns(families: list[list[Fault]], happened: Callable[[str], bool]) -> Iterator[Fault]:
    """First of every kind one case, and others of those that have not happened by it; then one of each family in turn,
    until there are no more."""
    by_kind, done = defaultdict[str, list[Fault]](list), set[int]()
    for fault in itertools.chain(*families):
        by_kind[fault.kind].append(fault)
    for number in range(TRIES):
        for kind, faults in by_kind.items():
            if number < len(faults) and not happened(kind):
                done.add(id(faults[number]))
                yield faults[number]
    rest = [[fault for fault in family if id(fault) not in done] for family in families]
    yield from (fault for turn in itertools.zip_longest(*rest) for fault in turn if fault is not None)


def _struck(nemesis: Nemesis, act: partial[None]) -> None:
    try:
        act()
    except BROKEN_OFF:
        nemesis.mended()
        raise


def _words(act: partial[None]) -> str:
    return " ".join(str(word) for word in (act.func.__name__, *act.args) if isinstance(word, str | Death | dict))
