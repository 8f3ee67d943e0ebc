"""What a region without fences says of itself; whoever needs one adds what it answers."""

from __future__ import annotations

from domain.region import Place


class UnfencedRegion:
    """All of the port `Region` but `send`; nothing lands later than its reply."""

    def longest_call(self, place: Place) -> float:
        return 4.0

    def retry_seconds(self, place: Place) -> float:
        return 10.0

    def honours_fences(self, place: Place) -> bool:
        return False

    def settle_seconds(self, place: Place) -> float:
        return 0.0
