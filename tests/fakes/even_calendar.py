"""A calendar of even steps: the expression is a number of minutes, counted from the epoch; zones do not matter."""

from __future__ import annotations


class EvenCalendar:
    """The port `Calendar`."""

    def check(self, cron: str, zone: str) -> None:
        int(cron)

    def after(self, cron: str, zone: str, at: int) -> int:
        step = int(cron) * 60_000
        return (at // step + 1) * step
