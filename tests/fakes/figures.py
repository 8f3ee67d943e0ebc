"""Figures as `Database.figures` gives them: one of everything that a metric is made of."""

from __future__ import annotations

from typing import Any

#: Seconds; the figures are of this time.
NOW = 10_000.0
FIGURES: dict[str, Any] = {
    "operations": {("create-snapshot", "QUEUED"): 3, ("restore-snapshot", "STUCK"): 1},
    "ready": 2,
    "oldest_queued_age": 1500,
    "oldest_running_age": 2500,
    "dead_letters": 4,
    "dead_letter_groups": 3,
    "dead_letters_by_reason": {"invalid": 3, "poison": 1},
    "outbox_waiting": 5,
    "outbox_oldest_age": 250,
    "garbage_due": 6,
    "garbage_oldest_age": 3500,
    "nodes": {"n1": 9_999_000},
    "snapshots": {"available": 7, "corrupt": 1},
    "services": 9,
    "services_without_snapshot": 2,
    "rpo_missed": 1,
    "drills_failed": 1,
    "schedule_late_age": 1500,
    "standing": [
        {
            "tenant": "acme",
            "service": "web",
            "newest": 9_000_000,
            "goal_seconds": 500,
            "verified_at": 9_500_000,
            "drilled_at": 9_600_000,
            "recovery_ms": 2500,
        },
        {
            "tenant": "acme",
            "service": "api",
            "newest": 9_900_000,
            "goal_seconds": None,
            "verified_at": None,
            "drilled_at": None,
            "recovery_ms": None,
        },
    ],
}
