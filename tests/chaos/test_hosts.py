"""A sample of `make prove --only=hosts`: one full disk, and whether networks are parted and clocks wrong as is said."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.chaos.victim import Death
from tests.fakes.region import RegionDouble
from tests.prove import clocks, full, namespace
from tests.prove.bench import Bench
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


@pytest.mark.skipif(bool(full.missing()), reason=f"no disk can be filled here: {full.missing()}")
def test_a_store_that_is_full_is_waited_for_and_named_and_nothing_is_lost(tmp_path: Path) -> None:
    """I1, I2, I5, I13 to I17."""
    with full.disks(tmp_path / "data"), RegionDouble(fenced=True) as region:
        cases = full.Full(Bench(tmp_path, region, full.environment(tmp_path / "data")))
        cases.case("create", "store", "blocks", 0, Death("claim.after-commit", 1), keep=False, ask=False)
        cases.bench.close()
    assert cases.bad == []
    assert (cases.reached, dict(cases.ends)) == (1, {"waiting: store-unavailable": 1})


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


def _greet(server: socket.socket) -> None:
    with suppress(OSError):  # it is closed when the test is over
        while True:
            other, _ = server.accept()
            with other:
                other.sendall(b"!")


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
