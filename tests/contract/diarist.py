"""One process of the race in `test_schedules_race.py`: asks for what is due as if it alone did, until told.

python -m tests.contract.diarist URL ROUNDS
"""

from __future__ import annotations

import sys

import handlers
from domain.contracts import Turn
from storage.sql import open_database
from tests.contract.sql_bench import FlippingSealer
from tests.fakes.clock import FakeClock
from tests.fakes.even_calendar import EvenCalendar
from workers.owner import Owner
from workers.scheduler import Diary, Scheduler


def main(url: str, times: list[int]) -> None:
    """Look at each of these times, with a clock that every process moves alike, and without a lease."""
    at = [0]
    database = open_database(url, FlippingSealer(), clock_ms=lambda: at[0])
    diary = Diary(
        database.schedules,
        database.recovery_points,
        database.services,
        database.catalogue,
        EvenCalendar(),
        handlers.subscriptions(),
    )
    scheduler = Scheduler(diary, Owner("n", "b", "ns", 1, "1"), FakeClock(), lambda: None, lambda: None)
    database.schedules.lead = lambda *_: Turn(at[0], False)  # type: ignore[method-assign]
    print("ready", flush=True)
    sys.stdin.readline()
    for at[0] in times:
        scheduler.round()
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], [int(text) for text in sys.argv[2].split(",")])
