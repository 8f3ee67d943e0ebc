"""Time as a port, so that simulation can replace it.

Apart from the other ports because everything that measures time needs it and nothing else.
"""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Time as this process sees it. Never compared with another machine's."""

    def boottime(self) -> float:
        """Seconds of CLOCK_BOOTTIME: counts suspend, unlike monotonic time."""

    def wall_ms(self) -> int:
        """UTC milliseconds; for people and file names only."""

    def sleep(self, seconds: float) -> None:
        """Let that much of `boottime` pass. Only for waits inside one call; longer ones are durable."""
