"""Real processes that all believe to lead: every nominal time of every service is asked for once, and none is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.contract.diary import HOUR, NOON, asked, at, hourly, register, set_up
from tests.contract.sql_bench import Bench

ROOT = Path(__file__).parents[2]
HOURS, SERVICES = 4, ("api", "db", "web")


def test_processes_that_ask_at_once_ask_once(database_url: str) -> None:
    """I25."""
    with Bench.opened(database_url) as bench:
        bench.now = NOON
        register(bench, *SERVICES)
        set_up(bench, hourly("tenant", service_id="", coalesce=False), hourly("own", coalesce=False))
        times = ",".join(str(NOON + hour * HOUR) for hour in range(1, HOURS + 1))
        racers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.contract.diarist", database_url, times],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        for racer in racers:
            assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        for racer in racers:
            racer.communicate(timeout=60)
        assert [racer.returncode for racer in racers] == [0, 0]
        wanted = [(name, at(hour)) for hour in range(1, HOURS + 1) for name in (*SERVICES, "web")]
        assert sorted(asked(bench)) == sorted(wanted)
