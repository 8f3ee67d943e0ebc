"""The real clock, behind the port, so that simulation can replace it."""

from __future__ import annotations

import time


class SystemClock:
    """CLOCK_BOOTTIME for durations, wall time for people."""

    def boottime(self) -> float:
        """Seconds since boot, suspend included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall_ms(self) -> int:
        """UTC milliseconds."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        time.sleep(seconds)
