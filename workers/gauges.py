"""What SQL says of the whole installation, as gauges: read at each scrape, so every process answers alike.

Apart from the counters because those are of one process and remember. Without a database there is one gauge that says
so, and none that is guessed. Names of services are labels here and nowhere else, and of them only so many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.errors import BackstayError


class _Told(Enum):
    """How a figure of a service becomes a value."""

    AS_IT_IS = "as it is"
    AGE = "age"


#: Key in the figures, factor to the unit of the metric, name, meaning.
_SINGLE = (
    ("ready", 1, "backstay_operations_ready", "Operations that a free worker could take now."),
    ("oldest_queued_age", 0.001, "backstay_oldest_queued_seconds", "Age of the oldest operation never started."),
    ("oldest_running_age", 0.001, "backstay_oldest_running_seconds", "Age of the oldest operation that is under way."),
    ("dead_letters", 1, "backstay_dead_letters", "Dead letters that nobody has resolved."),
    ("dead_letter_groups", 1, "backstay_dead_letter_groups", "Causes among these, told apart by fingerprint."),
    ("outbox_waiting", 1, "backstay_outbox_waiting", "Events that the broker has not confirmed yet."),
    ("outbox_oldest_age", 0.001, "backstay_outbox_oldest_seconds", "Age of the oldest of these events."),
    ("garbage_due", 1, "backstay_garbage_due", "Objects and prefixes in the store that may be removed now."),
    ("garbage_oldest_age", 0.001, "backstay_garbage_oldest_seconds", "For how long the oldest of them has been due."),
    ("services", 1, "backstay_services", "Services that are registered."),
    (
        "services_without_snapshot",
        1,
        "backstay_services_without_snapshot",
        "Services whose data no available snapshot holds.",
    ),
    ("rpo_missed", 1, "backstay_rpo_missed", "Services whose newest snapshot is older than their goal allows."),
    ("drills_failed", 1, "backstay_drills_failed", "Services whose newest restore drill failed, or took too long."),
    (
        "schedule_late_age",
        0.001,
        "backstay_schedule_late_seconds",
        "For how long something that a schedule asks for has been due.",
    ),
)
#: Key, label, factor, name, meaning; the figure is a mapping from the label's value to a number.
_LABELLED = (
    ("dead_letters_by_reason", "reason", 1, "backstay_dead_letters_by_reason", "Dead letters by reason code."),
    ("snapshots", "state", 1, "backstay_snapshots", "Snapshots in the catalogue, by state."),
    (
        "nodes",
        "node",
        0.001,
        "backstay_node_last_seen_timestamp_seconds",
        "When the worker of a node that takes work last gave a sign.",
    ),
)
#: The same of each service that is named: key, what is told of it, name, meaning. A key that is None has no series.
_OF_SERVICE = (
    (
        "newest",
        _Told.AS_IT_IS,
        "backstay_last_success_timestamp_seconds",
        "When the newest available snapshot of the service's data was taken.",
    ),
    ("newest", _Told.AGE, "backstay_rpo_age_seconds", "What would be lost now: the age of that snapshot."),
    ("goal_seconds", _Told.AS_IT_IS, "backstay_rpo_goal_seconds", "How old that snapshot may become."),
    ("verified_at", _Told.AGE, "backstay_verified_age_seconds", "Since a snapshot of the service was last read back."),
    ("drilled_at", _Told.AGE, "backstay_drill_age_seconds", "Since a restore drill of the service last passed."),
    ("recovery_ms", _Told.AS_IT_IS, "backstay_drill_recovery_seconds", "How long the restore of that drill took."),
)


class FromSql(Collector):
    """Gauges from one look at SQL for each scrape."""

    def __init__(self, figures: Callable[[], dict[str, Any]], now: Callable[[], float]) -> None:
        """`figures` answers as `Database.figures` does; `now` is the time in seconds, for ages of snapshots."""
        self._figures, self._now = figures, now

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them, or `backstay_database_up 0` alone."""
        up = GaugeMetricFamily("backstay_database_up", "Whether the database answered this scrape.")
        try:
            found = self._figures()
        except BackstayError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield _operations(found["operations"])
        for key, factor, name, meaning in _SINGLE:
            yield GaugeMetricFamily(name, meaning, value=found[key] * factor)
        for key, label, factor, name, meaning in _LABELLED:
            family = GaugeMetricFamily(name, meaning, labels=[label])
            for value, number in sorted(found[key].items()):
                family.add_metric([value], number * factor)
            yield family
        yield from self._services(found["standing"])

    def _services(self, rows: list[dict[str, Any]]) -> Iterator[Metric]:
        now = self._now()
        for key, told, name, meaning in _OF_SERVICE:
            family = GaugeMetricFamily(name, meaning, labels=["tenant", "service"])
            for row in rows:
                if row[key] is not None:
                    seconds = row[key] / (1 if key == "goal_seconds" else 1000)
                    value = max(0.0, now - seconds) if told is _Told.AGE else seconds
                    family.add_metric([row["tenant"], row["service"]], value)
            yield family


def _operations(counted: dict[tuple[str, str], int]) -> Metric:
    family = GaugeMetricFamily("backstay_operations", "Operations in SQL, by type and state.", labels=["kind", "state"])
    for (kind, state), count in sorted(counted.items()):
        family.add_metric([kind, state], count)
    return family
