"""What a restore drill has shown: that a snapshot can be restored, or not, and how long it took.

Apart from verification because a drill measures a recovery: nothing that is on the node is made use of.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drill:
    """One drill. Times are UTC milliseconds, `recovery_ms` is what a restore took, 0 when there was none."""

    op_id: str
    tenant_id: str
    service_id: str
    snapshot_id: str  # empty: there was none to restore
    node: str
    passed: bool
    recovery_ms: int = 0
    bytes: int = 0
    files: int = 0
    goal_seconds: int = 0  # how long a recovery may take; 0: nobody has said
    reason: str = ""  # the code of what went wrong
    ended_at: int = 0

    @property
    def within_goal(self) -> bool:
        """Whether the recovery was as fast as it should be."""
        return self.passed and not 0 < self.goal_seconds * 1000 < self.recovery_ms
