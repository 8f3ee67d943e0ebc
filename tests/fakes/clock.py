"""A clock that only moves when told to."""

from __future__ import annotations


class FakeClock:
    """Both clocks of the port, advanced together."""

    def __init__(self, boottime: float = 1000.0, wall_ms: int = 1_700_000_000_000) -> None:
        self._boottime, self._wall_ms = boottime, wall_ms

    def boottime(self) -> float:
        return self._boottime

    def wall_ms(self) -> int:
        return self._wall_ms

    def pass_seconds(self, seconds: float) -> None:
        self._boottime += seconds
        self._wall_ms += round(seconds * 1000)

    def sleep(self, seconds: float) -> None:
        self.pass_seconds(seconds)
