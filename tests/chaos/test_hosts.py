"""A sample of `make prove --only=hosts`: one full disk, and whether networks are parted and clocks wrong as is said."""

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from domain.operation import Operation, State
from tests.chaos.victim import Death
from tests.fakes.region import RegionDouble
from tests.prove import clocks, full, hosts, namespace, parted
from tests.prove.bench import Bench
from tests.prove.cases import Line
from tests.prove.goals import missed
from tests.prove.lack import is_lack
from tests.prove.parted import Hand
from tests.servers.ports import LOOPBACK

CONNECT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as found:
        print("there" if found.recv(1) == b"!" else "nobody")
except TimeoutError:
    print("silence")
except ConnectionError:
    print("refused")
"""
CLOCKS = """
import json, sqlite3, sys, time
from workers.clock import SystemClock
clock, said = SystemClock(), []
for line in sys.stdin:
    before = clock.boottime()
    time.sleep(0.01)
    (sql,) = sqlite3.connect(":memory:").execute("SELECT strftime('%s', 'now')").fetchone()
    print(json.dumps([clock.wall_ms() / 1000, int(sql), clock.boottime() - before]), flush=True)
"""


def _while_full(home: Path, place: str, point: str) -> full.Full:
    """A snapshot is made, and that disk has no block left from that point on, until somebody has looked."""
    with full.disks(home / "data"), RegionDouble(fenced=True) as region:
        cases = full.Full(Bench(home, region, full.environment(home / "data")))
        cases.case("create", place, "blocks", 0, Death(point, 1), keep=False, ask=False)
        cases.bench.close()
    return cases


@pytest.mark.skipif(bool(full.missing()), reason=f"no disk can be filled here: {full.missing()}")
def test_a_store_that_is_full_is_waited_for_and_named_and_nothing_is_lost(tmp_path: Path) -> None:
    """I1, I2, I5, I13 to I17."""
    cases = _while_full(tmp_path, "store", "claim.after-commit")
    assert cases.bad == []
    assert (cases.reached, cases.asleep, dict(cases.ends)) == (1, 0, {"waiting: store-unavailable": 1})


@pytest.mark.skipif(bool(full.missing()), reason=f"no disk can be filled here: {full.missing()}")
def test_a_disk_that_is_full_and_that_nobody_writes_to_is_no_point(tmp_path: Path) -> None:
    """What nobody has noticed proves nothing."""
    cases = _while_full(tmp_path, "live trees", "settle.before-commit")
    assert cases.bad == []
    assert (cases.reached, cases.asleep, cases.lack.met()) == (0, 1, "")


def test_a_database_without_room_is_a_lack_and_one_with_a_wrong_question_is_not(tmp_path: Path) -> None:
    """SQLite's errors are none of the system's."""
    with sqlite3.connect(tmp_path / "database") as connection:
        connection.execute("CREATE TABLE t (c)")
        connection.execute("PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError, match="full") as full_:
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        with pytest.raises(sqlite3.OperationalError) as wrong:
            connection.execute("SELECT nothing")
    assert (is_lack(full_.value), is_lack(wrong.value)) == (True, False)


@pytest.mark.skipif(bool(namespace.missing()), reason=f"no network can be parted here: {namespace.missing()}")
def test_a_wire_to_a_namespace_is_cut_in_both_ways_and_healed() -> None:
    """What is not cut proves nothing."""
    with ExitStack() as closing:
        server = closing.enter_context(socket.create_server((LOOPBACK, 0)))
        threading.Thread(target=_greet, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        space = namespace.Namespace([port], closing)
        command = [*space.prefix, sys.executable, "-c", CONNECT, space.here, str(port)]

        def says(patience: float = 60) -> str:
            return subprocess.run([*command, str(patience)], capture_output=True, text=True, check=True).stdout.strip()

        found = [says()]
        for how, patience in zip(namespace.CUTS, (0.3, 60), strict=True):
            space.cut(how)
            found.append(says(patience))
            space.heal()
        found.append(says())
    assert found == ["there", "silence", "refused", "there"]


def test_what_a_node_had_in_hand_when_it_was_cut_off_must_be_taken_over_where_another_may() -> None:
    """What its directory binds waits for it, and what was settled on the way was in hand no more."""
    one = Operation(1, "1", "/s", "1", "k", "t", "s", State.RUNNING, {}, fence=3, lease_until=1)
    lingers, bound, taken, settled = (
        replace(one, op_id=name, message_id=name, node=node)
        for name, node in (("lingers", None), ("bound", "n"), ("taken", None), ("settled", None))
    )
    now = {
        "lingers": lingers,
        "bound": bound,
        "taken": replace(taken, fence=4),
        "settled": replace(settled, state=State.SUCCEEDED, lease_until=0),
    }
    database = SimpleNamespace(find_by_message=lambda _source, message: now[message])
    bench: Any = SimpleNamespace(system=SimpleNamespace(database=database), locked_by=lambda *_: False)
    hand = Hand(bench, [lingers, bound, taken, settled])
    hand.look()
    assert (hand.left(), hand.lacking(), list(hand.taken)) == ([lingers, bound], [lingers], ["taken"])


def test_a_takeover_from_a_node_that_was_cut_off_is_judged_as_that_from_a_frozen_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where a row was locked, the database lets go of it later."""
    made: Any = parted.Parted.__new__(parted.Parted)
    made.faults, made.messages = Counter[str](), []
    made.held = made.passed_on = made.idle = made.locked = 0
    made.latest = made.latest_locked = 0.0
    for locked, seconds in ((True, 9.0), (False, 5.5)):
        made._count("drop", SimpleNamespace(taken={"1": seconds}, left=list, locked=locked))
    monkeypatch.setattr(namespace, "missing", str)
    monkeypatch.setattr(parted, "run", lambda *_: (made, []))
    lines = list[Line]()
    hosts._parted(tmp_path, 1.0, lines)
    (line,) = lines
    assert (line.points, line.takeover) == (2, 5.5)
    assert "1 cuts with a row locked, taken over within 9.0 s" in line.more
    assert f"{line.proof}: taken over 5.5 s after the end of the lease, not within 5 s" in missed(lines)


def test_a_clock_that_jumps_again_from_where_to_where_it_has_jumped_before_is_no_other_point(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: Any = clocks.Clocks.__new__(clocks.Clocks)
    made.draw, made.rates, made.files = random.Random(1), clocks.SHARED, [tmp_path / "clock"]
    made.present, made.jumps, made.faults = {made.files[0]: "+0"}, set(), Counter[str]()
    made.messages, made.scheduled, made.judged = [], 0, ""
    for _ in range(100):
        made._fault()
    monkeypatch.setattr(clocks, "missing", str)
    monkeypatch.setattr(clocks, "run", lambda *_, **__: (made, []))
    lines = list[Line]()
    hosts._clocks(tmp_path, 1.0, lines, shared=True)
    assert made.faults.total() == 100
    assert lines[0].points == len(made.jumps) <= len(clocks.SHARED) * (len(clocks.SHARED) - 1)


def test_no_disk_is_full_twice_in_the_same_way_at_the_same_point() -> None:
    points = [Death("settle.before-commit", 1)]
    nowhere: Any = SimpleNamespace(points=lambda name: points, case=print, bad=[])
    found = [act.args for _, act in full.drawn(nowhere, random.Random(1))]  # type: ignore[attr-defined]
    where = [(name, place, kind, death) for name, place, kind, _, death in found]
    assert len(where) == len(set(where)) > 100


def _greet(server: socket.socket) -> None:
    with suppress(OSError):  # it is closed when the test is over
        while True:
            other, _ = server.accept()
            with other:
                other.sendall(b"!")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["2026-01-01T00:01Z", "2026-01-01T00:02Z"], []),
        ([], ["s: 2026-01-01T00:01Z was never asked for", "s: 2026-01-01T00:02Z was never asked for"]),
        (
            ["2026-01-01T00:01Z", "2026-01-01T00:02Z", "2026-01-01T00:02Z"],
            ["s: 2026-01-01T00:02Z was asked for 2 times"],
        ),
        (
            ["2026-01-01T00:01Z", "2026-01-01T00:02Z", "2026-02-01T00:02Z"],
            ["s: 2026-02-01T00:02Z was asked for, when there was no schedule"],
        ),
    ],
)
def test_a_schedule_asks_once_for_every_minute_of_a_right_clock_and_for_no_other(
    asked: list[str], said: list[str]
) -> None:
    """I25: between 0:00:30 and 0:02:30 there are two."""
    midnight = 1_767_225_600
    wanted = clocks.minutes(midnight + 30, midnight + 150)
    assert clocks.mistimed("s", Counter(asked), wanted, wanted) == said
    assert clocks.minutes(midnight + 1, midnight + 59) == []


@pytest.mark.skipif(bool(clocks.missing()), reason=clocks.missing())
def test_the_wall_clock_of_a_program_jumps_and_what_leases_are_measured_by_does_not(tmp_path: Path) -> None:
    """SQLite goes by the same wrong clock."""
    site, file = clocks.prepared(tmp_path), tmp_path / "clock"
    environment = {**os.environ, **clocks.faked(site, file)}
    found, pipes = [], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", CLOCKS], env=environment, text=True, **pipes) as program:  # type: ignore[call-overload]
        for seconds in (0, clocks.DAY, -clocks.DAY):
            clocks.set_clock(file, f"{seconds:+}")
            print("now", file=program.stdin, flush=True)
            wall, sql, passed = json.loads(program.stdout.readline())
            found.append([round((wall - time.time()) / clocks.DAY, 1), round((sql - time.time()) / clocks.DAY, 1)])
            assert 0 < passed < clocks.HOUR
        program.stdin.close()
    assert found == [[0, 0], [1, 1], [-1, -1]]
