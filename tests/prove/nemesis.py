"""Servers that fail under two nodes at the decisive moment: the promises must hold, and what an operator sees is told.

Apart from `matrix.py`, which strikes nodes: here the nodes live, and a COMMIT or its answer is lost, a server is
restarted or killed at a failpoint, a request of the object store or of the broker is cut, refused or delayed, and the
region flaps. Which moments there are is read from a run without faults.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from domain.operation import State
from domain.retry import within_call
from tests.chaos.victim import Death, start_node
from tests.prove.audit import agreement, ends
from tests.prove.bench import SOURCE
from tests.prove.cases import NO_TIME
from tests.prove.commands import SCENARIOS
from tests.prove.listener import Listener
from tests.prove.matrix import LEASE, WITH_REGION, Matrix
from tests.prove.moment import Moment
from tests.prove.promises import broken
from tests.prove.stacks import Servers
from tests.prove.wire import Wire
from tests.servers.server import Server
from workers.config import Settings

#: Seconds that a server which is taken away stays away.
AWAY = 1.0
#: Seconds in which this process itself must have found its way back to a server.
PATIENCE = 20.0
#: The family of what only a broker without a disk does.
FORGETS = "redis forgets everything"
#: The family of the runs that say which moments there are.
WITHOUT = "without faults"
#: Log levels of what an operator is meant to notice.
NOTICED = ("warning", "error")


@dataclass
class Family:
    """What came of one kind of fault."""

    points: int = 0
    cases: int = 0
    bad: list[str] = field(default_factory=list)
    #: Log events that nodes wrote while it happened, by the number of cases that had them.
    seen: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    forgotten: int = 0  # messages that the broker lost and that were published again

    def not_done(self) -> str:
        """Why it has no point."""
        return f"not done: it did not happen in {self.cases} cases" if self.cases else NO_TIME


class Nemesis:
    """Cases on one bench, whose nodes reach their servers by wires."""

    def __init__(self, matrix: Matrix, servers: Servers, wires: dict[str, Wire]) -> None:
        self.matrix, self.bench, self.servers, self.wires = matrix, matrix.bench, servers, wires
        self.listener = Listener(self.bench.settings.broker_url)
        self.families: defaultdict[str, Family] = defaultdict(Family)

    # ------------------------------------------------------------ faults
    def commit(self, name: str, death: Death, do: str) -> None:
        """The COMMIT at that point, or its answer, is lost with its connection."""
        wire = self.wires["postgres"]

        def lose(port: int) -> None:
            wire.strike({"match": "COMMIT", "port": port, "do": do})

        self._case(name, f"COMMIT: {do}", f"{do} at {death}", moment=Moment(death), act=lose, fired=wire.fired)

    def away(self, name: str, death: Death, kind: str, how: Callable[[Server], None], words: str) -> None:
        """A server goes at that point, and comes back a moment later with what it has kept."""
        server = self.servers.running[kind]

        def take_away(_: int) -> None:
            how(server)

        def bring_back(_: list[str]) -> None:
            time.sleep(AWAY)
            server.start()

        family = f"{kind} {words}"
        self._case(name, family, f"{words} at {death}", moment=Moment(death), act=take_away, after=bring_back)

    def forgotten(self, name: str, death: Death) -> None:
        """A Redis that keeps nothing on disk dies at that point. What no node had accepted is lost, as are events that
        nobody has fetched; a publisher who has heard nothing repeats, and there is one operation and one end."""
        server = self.servers.running["redis"]

        def empty(_: int) -> None:
            server.kill()
            shutil.rmtree(server.directory / "appendonlydir")

        def again(messages: list[str]) -> None:
            time.sleep(AWAY)
            server.start()
            self.listener.listen()
            for message in messages:
                found = self.bench.system.database.find_by_message(SOURCE, message)
                self.families[FORGETS].forgotten += found is None
                self.bench.repeat(message)

        self._case(name, FORGETS, f"empty at {death}", moment=Moment(death), act=empty, after=again, heard=False)

    def request(self, name: str, to: str, rule: dict[str, Any], words: str) -> None:
        """One request to a server goes wrong, the `nth` that matches; each, if none is named."""
        wire = self.wires[to]
        wire.strike(rule)
        moment = f"{words} {rule['match']!r} {rule.get('nth', 'each')}"
        self._case(name, f"{to}: {words}", moment, fired=lambda: min(1, wire.fired()))

    def region(self, name: str, rules: list[dict[str, Any]], words: str) -> None:
        """The region misbehaves as the rules say."""
        family, either = f"region: {words.partition(' (')[0]}", len(rules) > 1 or "times" in rules[0]
        # Whoever gets no definite answer to one call, three times, puts everything back.
        arm = partial(self.bench.region.script, *rules)
        self._case(name, family, words, arm=arm, fired=self._region_struck, either=either)

    def _region_struck(self) -> int:
        """One case is one point, however many of its rules have struck."""
        return min(1, self.bench.region.struck())

    def mended(self) -> None:
        """After a case that broke off: nothing is wrong any more."""
        self.bench.region.script()
        for wire in self.wires.values():
            wire.strike()
        for server in self.servers.running.values():
            server.start()

    def moments(self, name: str, watch: dict[str, tuple[str, ...]]) -> tuple[dict[str, Counter[str]], int]:
        """In a run without faults: how many requests of each kind the nodes send to those servers, and how many calls
        of the region there are."""
        seen, calls = {to: Counter[str]() for to in watch}, Counter[str]()
        for to, words in watch.items():
            self.wires[to].strike(watch=words)

        def count() -> int:
            for to in watch:
                seen[to].update(self.wires[to].seen())
            calls["region"] = self.bench.region.calls()
            return 0

        self._case(name, WITHOUT, WITHOUT, arm=self.bench.region.script, fired=count)
        return seen, calls["region"]

    # ------------------------------------------------------------ one case
    def _case(
        self,
        name: str,
        family: str,
        words: str,
        *,
        arm: Callable[[], None] = lambda: None,
        fired: Callable[[], int] = lambda: 1,
        moment: Moment | None = None,
        act: Callable[[int], None] = lambda port: None,
        after: Callable[[list[str]], None] = lambda messages: None,
        either: bool = False,
        heard: bool = True,
    ) -> None:
        found, bench, service = self.families[family], self.bench, self.matrix.ready(name)
        found.cases += 1
        wanted, began = SCENARIOS[name].act(bench, service), time.monotonic()
        log = bench.home / "nemesis.log"
        log.unlink(missing_ok=True)
        log.touch()
        messages, struck = list(wanted), moment is None
        arm()  # not before: what a service is made ready by shall go well
        pids = self._started(name, messages, moment)
        if moment is not None:
            port = moment.wait(pids)
            struck = port is not None
            if port is not None:
                act(port)
            moment.go_on()
            after(messages)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        found.points += fired() if struck else 0
        for attempt in within_call(seconds=PATIENCE):  # this process's own connections may have been cut, too
            with attempt:
                bad = self._untold(wanted) if heard else []
                bad += self._broken(name, service, wanted, either=either)
        bad += [f"a node ended with {code}" for code in codes if code]
        found.bad += [f"{name}, {words}: {sentence}" for sentence in bad]
        found.slowest = max(found.slowest, time.monotonic() - began)
        found.seen.update(noticed(log.read_text()))
        bench.region.script()
        for wire in self.wires.values():
            wire.strike()

    def _broken(self, name: str, service: str, wanted: dict[str, State], *, either: bool) -> list[str]:
        """`either`: it may have been put back, if it was wholly."""
        if either:
            return ends(self.bench, list(wanted)) + agreement(self.bench, [service])
        return broken(self.bench, SCENARIOS[name], service, wanted)

    def _untold(self, wanted: dict[str, State]) -> list[str]:
        """Ends that the listener has not heard, at least once each."""
        found = [self.bench.system.database.find_by_message(SOURCE, message) for message in wanted]
        missed = self.listener.misses({operation.op_id for operation in found if operation is not None})
        return [f"nobody was told of the end of {op_id}" for op_id in missed]

    def _started(self, name: str, messages: list[str], moment: Moment | None) -> list[int]:
        if moment is None:
            return [self._node(name, messages, number, None) for number in (1, 2)]
        with moment.watched():
            return [self._node(name, messages, number, moment.witness) for number in (1, 2)]

    def _node(self, name: str, messages: list[str], number: int, witness: Callable[[str], None] | None) -> int:
        bench = self.bench
        trace, log = bench.home / f"trace-{number}", bench.home / "nemesis.log"
        over = partial(bench.over, messages)
        return start_node(self._settings(name, number), over, trace, witness=witness, log=log)

    def _settings(self, name: str, number: int) -> Settings:
        """Two hosts: the services' directories are on the first."""
        settings = self.bench.settings
        lease = WITH_REGION if SCENARIOS[name].region else LEASE
        return self.bench.settings_with(
            BACKSTAY_NODE=f"chaos-{number}",
            BACKSTAY_DATA_DIR=settings.data_dir if number == 1 else str(self.bench.home / "data-2"),
            BACKSTAY_LEASE_SECONDS=str(lease),
            BACKSTAY_LOG_LEVEL="info",
            DATABASE_URL=self._way("postgres", settings.database_url),
            BROKER_URL=self._way("broker", settings.broker_url),
            BACKSTAY_STORE_URL=self._way("rgw", settings.store_url),
        )

    def _way(self, to: str, url: str) -> str:
        return self.wires[to].through(url) if to in self.wires else url


def noticed(log: str) -> set[str]:
    """Names of the warnings and errors in a node's log."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    found = set()
    for line in lines:
        if line.get("level") in NOTICED:
            about = line.get("loop") or line.get("code")
            found.add(f"{line['event']} ({about})" if about else line["event"])
    return found


def stopped(server: Server) -> None:
    """In good order; PostgreSQL's fast shutdown."""
    server.stop()


def killed(server: Server) -> None:
    """SIGKILL to all of it."""
    server.kill()


def immediately(server: Server) -> None:
    """PostgreSQL's immediate shutdown: sessions are thrown out, and recovery follows."""
    orderly, server.front.stop_signal = server.front.stop_signal, signal.SIGQUIT
    try:
        server.stop()
    finally:
        server.front.stop_signal = orderly
