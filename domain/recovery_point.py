"""How much of a service would be lost if it were lost now, beside how much may be lost.

Apart from the service because it is never stored: it is the age of the newest snapshot that holds data and is not
known to be damaged, by the database's clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecoveryPoint:
    """Of one service, at one time. Times are UTC milliseconds; 0 means none."""

    tenant_id: str
    service_id: str
    goal_seconds: int  # 0: nobody has said
    since: int  # when the goal was set
    newest_at: int  # when the newest good snapshot was begun
    at: int  # now

    @property
    def age_seconds(self) -> int | None:
        """The age of the newest good snapshot; None when there is none."""
        return max(0, self.at - self.newest_at) // 1000 if self.newest_at else None

    @property
    def missed(self) -> bool:
        """Whether there is a goal and it is not met. A service without any snapshot has as long as the goal allows,
        from when that was set."""
        if not self.goal_seconds:
            return False
        return self.at - (self.newest_at or self.since) > self.goal_seconds * 1000

    def sentence(self) -> str:
        """The standing in words."""
        age = "has no good snapshot" if self.age_seconds is None else f"was last saved {in_words(self.age_seconds)} ago"
        goal = f"; the goal is {in_words(self.goal_seconds)}" if self.goal_seconds else ""
        return f"service {self.service_id} {age}{goal}"

    def words(self) -> tuple[str, str, str]:
        """Age, goal and verdict, for a line of a list."""
        age = "never" if self.age_seconds is None else f"{in_words(self.age_seconds)} ago"
        if not self.goal_seconds:
            return age, "-", ""
        return age, in_words(self.goal_seconds), "missed" if self.missed else "ok"


def in_words(seconds: int) -> str:
    """The two largest units of a duration, such as `1 d 3 h`."""
    parts = []
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if count := seconds // size:
            parts.append(f"{count} {unit}")
            seconds -= count * size
    return " ".join(parts[:2]) or "0 s"
