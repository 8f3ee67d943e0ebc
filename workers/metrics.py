"""Figures for Prometheus: what this process did, and what SQL says of the whole installation.

Apart from health because figures judge nothing. Counters live in this process and begin at zero with it;
gauges are read from SQL when they are asked for, so every process answers alike. Labels are message types
and states only, never an id, a tenant or a text from a message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from domain.errors import BackstayError

#: The text format that `render` writes.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: Key in the counts, factor to the unit of the metric, name, meaning.
_GAUGES = (
    ("ready", 1, "backstay_operations_ready", "Operations that a free worker could take now."),
    ("oldest_queued_age", 0.001, "backstay_oldest_queued_seconds", "Age of the oldest operation never started."),
    ("dead_letters", 1, "backstay_dead_letters", "Dead letters that nobody has resolved."),
    ("outbox_waiting", 1, "backstay_outbox_waiting", "Events that the broker has not confirmed yet."),
    ("outbox_oldest_age", 0.001, "backstay_outbox_oldest_seconds", "Age of the oldest of these events."),
)


class Metrics:
    """The counters of one process and a registry of their own. Safe to share between threads."""

    def __init__(self, counts: Callable[[], dict[str, Any]]) -> None:
        """`counts` answers as `Database.counts` does; it is called once for each `render`."""
        self._registry = CollectorRegistry()
        self._messages = Counter(
            "backstay_messages", "Messages taken from the broker, by what became of them.", ["result"],
            registry=self._registry,
        )  # fmt: skip
        self._operations = Counter(
            "backstay_operations_ended", "Attempts of this process that ended, by type and how.", ["kind", "how"],
            registry=self._registry,
        )  # fmt: skip
        self._ignored = Counter(
            "backstay_region_ignored", "Replies 400 of a region that were ignored, by call and why.",
            ["region", "call", "why"], registry=self._registry,
        )  # fmt: skip
        for result in ("accepted", "duplicate", "rejected"):
            self._messages.labels(result)  # a series that is absent until it moves hides its first increase
        self._registry.register(_FromSql(counts))

    def accepted(self, count: int) -> None:
        """That many messages became operations."""
        self._messages.labels("accepted").inc(count)

    def duplicates(self, count: int) -> None:
        """That many messages had been accepted before."""
        self._messages.labels("duplicate").inc(count)

    def rejected(self, count: int) -> None:
        """That many messages became dead letters at the door."""
        self._messages.labels("rejected").inc(count)

    def ended(self, kind: str, how: str) -> None:
        """An attempt of an operation of that type ended that way."""
        self._operations.labels(kind, how).inc()

    def count(self, name: str, **labels: str) -> None:
        """One more of what the domain counts; the only name so far is region_ignored."""
        {"region_ignored": self._ignored}[name].labels(**labels).inc()

    def render(self) -> bytes:
        """The text format of Prometheus. Never raises: without SQL its gauges are left out."""
        return generate_latest(self._registry)


class _FromSql(Collector):
    """Gauges from one look at SQL."""

    def __init__(self, counts: Callable[[], dict[str, Any]]) -> None:
        self._counts = counts

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All of them, or `backstay_database_up 0` alone."""
        up = GaugeMetricFamily("backstay_database_up", "Whether the database answered this scrape.")
        try:
            counts = self._counts()
        except BackstayError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        operations = GaugeMetricFamily(
            "backstay_operations", "Operations in SQL, by type and state.", labels=["kind", "state"]
        )
        for (kind, state), count in sorted(counts["operations"].items()):
            operations.add_metric([kind, state], count)
        yield operations
        for key, factor, name, meaning in _GAUGES:
            yield GaugeMetricFamily(name, meaning, value=counts[key] * factor)
