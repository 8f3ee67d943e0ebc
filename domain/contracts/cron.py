"""The port of cron expressions and time zones.

Apart from the clock because it knows no present: it is told a time and answers with a later one.
"""

from __future__ import annotations

from typing import Protocol


class Calendar(Protocol):
    """Cron expressions of five fields, and the names of time zones."""

    def check(self, cron: str, zone: str) -> None:
        """InvalidMessage, naming the field, when either cannot be read or the expression never comes true."""

    def after(self, cron: str, zone: str, at: int) -> int:
        """The first time later than `at` that the expression names in that zone, UTC milliseconds; 0 when there is
        none. A time that a clock skips in spring is taken at the first one that exists; one that a clock repeats in
        autumn is taken once, unless the expression says every hour or minute."""
