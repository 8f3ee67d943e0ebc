"""The kill matrix on a real stack: every failpoint of every command, killed or frozen; another node finishes.

A case is one service. A killed node is followed by another; a frozen one (SIGSTOP) too, once its lease is over, and is
then continued, so that two nodes believe that they hold the operation. Points are read from a run without faults.
"""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

from domain.operation import Operation, State
from tests.chaos import victim
from tests.chaos.victim import Death, End, deaths, freeze
from tests.prove.bench import SOURCE, Bench
from tests.prove.commands import SCENARIOS, Scenario
from tests.prove.promises import broken, whole
from workers.config import Settings

#: Seconds of lease while nodes are frozen: short to wait for, and with a region long enough for a call to it.
LEASE, WITH_REGION = 3, 9
#: Seconds beyond the lease after which somebody must have taken over and finished, on a machine that is very busy.
TAKEOVER = 60.0
#: The same where nobody can, because the frozen one has SQLite's lock: others give up after ten seconds.
IN_VAIN = 15.0
#: Parts of which every time counts, not only the first and the last: between them a service is half upgraded.
EVERY_TIME = ("region", "intend", "advance", "conclude", "undo", "bump")
#: Seconds for which whoever has taken over lingers at each of its failpoints, beside the former holder that woke up.
LINGER = 0.03
#: Parts of the path at which nobody holds an operation yet, or any more: freezing there makes no second owner.
UNHELD = ("ingress", "accept", "relay", "outbox-take", "outbox-sent", "spool", "beat", "publish")


@dataclass
class Tally:
    """What a matrix came to."""

    cases: int = 0
    reached: int = 0  # the node did die, or freeze, where it was told to
    struck: set[str] = field(default_factory=set)  # failpoints at which one did
    points: Counter[str] = field(default_factory=Counter)  # by scenario
    bad: list[str] = field(default_factory=list)
    two_owners: int = 0  # a frozen node woke up after another had taken its operation
    together: int = 0  # of those, so often while the other one was at work on it
    kept_the_lock: int = 0  # and so often it was frozen with SQLite's lock in hand, or that of the node's trees
    inside: int = 0  # and so often it had its row locked, until the server ended the session
    latest: float = 0.0  # seconds from the end of a lease until another node had taken over
    latest_inside: float = 0.0  # the same of those whose row was locked
    slowest: float = 0.0  # and until that one had finished

    def __str__(self) -> str:
        kinds = f"{len(self.points)} scenarios, {self.cases} cases, {self.reached} reached, {len(self.bad)} violations"
        return kinds + (f", {self.two_owners} with two owners" if self.two_owners else "")


class Matrix:
    """The cases of one bench; numbered, so that none shares a service with another."""

    #: Cases whose surroundings are brought about together.
    batch = 6

    def __init__(self, bench: Bench) -> None:
        self.bench, self.tally = bench, Tally()
        self._numbers = itertools.count()
        self._waiting: dict[str, list[str]] = {}

    def points(self, name: str) -> list[Death]:
        """Every failpoint of a scenario, as often as a run without faults tells them apart (`deaths`)."""
        service = self.ready(name)
        wanted = SCENARIOS[name].act(self.bench, service)
        end = self.bench.run(list(wanted))
        found = broken(self.bench, SCENARIOS[name], service, wanted)
        assert end.exit_code == 0 and not found, f"{name} without faults: {end.exit_code} {found}"
        return deaths(end.trace, EVERY_TIME)

    def kill(self, name: str, death: Death) -> None:
        """SIGKILL there; another process of that node, which sees at once that it is dead, finishes."""
        service = self.ready(name)
        wanted = SCENARIOS[name].act(self.bench, service)
        died = self.bench.run(list(wanted), death)
        self._note_death(name, service, death, died)
        self._judge(name, service, wanted, death, "killed", reached=died.killed)

    def _note_death(self, name: str, service: str, death: Death, died: End) -> None:
        """What must hold at that moment, before anybody goes on."""
        self.tally.bad += [f"{name} killed at {death}: {sentence}" for sentence in whole(self.bench, service)]
        if not died.killed:
            self._note_end(name, death, "die", died.exit_code)

    def _note_end(self, name: str, death: Death, what: str, code: int) -> None:
        """A node that does not get there ends well."""
        if code:
            self.tally.bad.append(f"{name}: a node that was to {what} at {death} ended with {code} before")

    def freeze(self, name: str, death: Death) -> None:
        """SIGSTOP there beyond the lease; another node finishes; the frozen one goes on."""
        bench, service = self.bench, self.ready(name)
        wanted = SCENARIOS[name].act(bench, service)
        lease, settings = self.with_lease(name)
        # One that wakes may still write an object; what is known to be garbage stays known for so long.
        victim.late_writes_ms = 900_000
        try:
            pid = bench.start(list(wanted), settings, "frozen", death, strike=freeze)
            self._thaw(name, service, wanted, death, settings, lease, pid)
        finally:
            victim.late_writes_ms = 0

    def _thaw(
        self, name: str, service: str, wanted: dict[str, State], death: Death, settings: Settings, lease: int, pid: int
    ) -> None:
        bench, how = self.bench, f"{name} frozen at {death}"
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):  # it ended without getting there
            self._note_end(name, death, "freeze", os.waitstatus_to_exitcode(status))
            self._judge(name, service, wanted, death, "not frozen", reached=False)
            return
        before = self.found(wanted)
        in_hand = held_of(before)
        inside = bench.locked_by(pid, [one.op_id for one in in_hand.values()])
        if in_hand:  # else only a message, which the broker keeps for it: nothing is frozen beyond a lease
            # Of what nobody has accepted yet the frozen one may have the message.
            early, taken = bool(self.tally.cases % 2), dict[str, float]()
            witness = _linger if early else None
            other = bench.start(list(before), settings, "other", None, witness=witness)
            more = IN_VAIN if inside and bench.embedded else TAKEOVER

            def look() -> None:
                self.look(in_hand, taken)
                if early and taken:
                    os.kill(pid, signal.SIGCONT)

            end = end_within(other, lease + more, look)
            self.tally.together += early and bool(taken)
            self._note_takeover(how, pid, in_hand, taken, ended=end is not None, inside=inside)
            os.kill(pid, signal.SIGCONT)
            code = bench.end(other, "other").exit_code if end is None else end
            self.tally.bad += [f"{how}: the other node ended with {code}"] if code else []
        os.kill(pid, signal.SIGCONT)
        code = bench.end(pid, "frozen").exit_code
        self.tally.bad += [f"{how}: when it woke it ended with {code}"] if code else []
        self._judge(name, service, wanted, death, "frozen", reached=bool(in_hand))

    def _note_takeover(
        self, how: str, pid: int, held: dict[str, Operation], taken: dict[str, float], *, ended: bool, inside: bool
    ) -> None:
        tally = self.tally
        if taken:
            tally.two_owners += 1
            tally.slowest = (
                max(tally.slowest, *(_since(held[message]) for message in taken)) if ended else tally.slowest
            )
            if inside:
                tally.inside, tally.latest_inside = tally.inside + 1, max(tally.latest_inside, *taken.values())
            else:
                tally.latest = max(tally.latest, *taken.values())
        if ended:
            return
        if self._holds_a_lock(pid, held):
            tally.kept_the_lock += 1
        else:
            tally.bad.append(f"{how}: nobody {'finished' if taken else 'took over'} what it had in hand")

    def _holds_a_lock(self, pid: int, held: dict[str, Operation]) -> bool:
        """SQLite's, or that of the node's trees, of which a wait says who has it."""
        bench = self.bench
        if bench.embedded and bench.locked_by(pid, []):
            return True
        found = self.found(held).values()
        return any(one.error_code == "busy" and f"process {pid} " in bench.why_waiting(one.op_id) for one in found)

    # ------------------------------------------------------------ one case
    def _judge(
        self, name: str, service: str, wanted: dict[str, State], death: Death, what: str, *, reached: bool,
        code: int | None = None,
    ) -> None:  # fmt: skip
        """`code`: how the one has ended that finished; when nobody has yet, one is started."""
        how = f"{what} at {death}"
        code = self.bench.run(list(wanted)).exit_code if code is None else code
        found = broken(self.bench, SCENARIOS[name], service, wanted)
        found += [] if code == 0 else [f"nobody finished ({code})"]
        self.tally.bad += [f"{name} {how}: {sentence}" for sentence in found]
        self.tally.cases += 1
        self.tally.reached += reached
        self.tally.struck |= {death.point} if reached else set()
        self.tally.points[name] += 1

    def with_lease(self, name: str) -> tuple[int, Settings]:
        """Seconds of a lease that is waited for, and settings with it."""
        lease = WITH_REGION if SCENARIOS[name].region else LEASE
        return lease, self.bench.settings_with(BACKSTAY_LEASE_SECONDS=str(lease))

    def found(self, messages: Iterable[str]) -> dict[str, Operation]:
        """The operations that these have become."""
        find = partial(self.bench.system.database.find_by_message, SOURCE)
        return {message: found for message in messages if (found := find(message)) is not None}

    def look(self, held: dict[str, Operation], taken: dict[str, float]) -> None:
        """Write down how long after the end of its lease each operation was first seen with another owner."""
        for message, now in self.found(held.keys() - taken.keys()).items():
            if now.fence > held[message].fence:
                taken[message] = _since(held[message])

    def ready(self, name: str) -> str:
        """A service that is ready for the scenario; several are made ready together."""
        ready = self._waiting.setdefault(name, [])
        if not ready:
            made = [f"{name}-{next(self._numbers)}" for _ in range(self.batch)]
            self._prepare(SCENARIOS[name], made)
            ready += made
        return ready.pop(0)

    def _prepare(self, scenario: Scenario, services: list[str]) -> None:
        for stage in scenario.stages:
            for service in services:
                stage(self.bench, service)
            messages = [message for service in services for message in self.bench.asked(service)]
            end = self.bench.run(messages)
            assert end.exit_code == 0, f"{scenario.kind} could not be prepared: {end.exit_code}"


def _linger(point: str) -> None:
    time.sleep(LINGER)


def _since(held: Operation) -> float:
    """Seconds since that lease was over; the databases here go by this host's clock."""
    return time.time() - held.lease_until / 1000


def held_of(found: dict[str, Operation]) -> dict[str, Operation]:
    """Of these, what somebody has in hand."""
    active = (State.RUNNING, State.COMPENSATING)
    return {message: one for message, one in found.items() if one.fence and one.lease_until and one.state in active}


def end_within(pid: int, seconds: float, meanwhile: Callable[[], None]) -> int | None:
    """How a forked node has ended; None if it has not in that time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        meanwhile()
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    return None


def held(points: list[Death]) -> list[Death]:
    """Those at which somebody holds the operation."""
    return [death for death in points if death.point.partition(".")[0] not in UNHELD]
