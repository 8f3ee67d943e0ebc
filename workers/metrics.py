"""Figures for Prometheus: what this process did, and what SQL says of the whole installation.

Apart from health because figures judge nothing. Counters live in this process and begin at zero with it; the gauges
from SQL are in `workers.gauges`. Labels of counters are message types, states, reason codes and names from
configuration, never an id, a tenant or a text from a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from workers.gauges import FromSql

#: The text format that `render` writes.
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: What `count` counts: name, meaning, labels, and the series that exist from the beginning, because one that is
#: absent until it moves hides its first increase.
_COUNTERS: dict[str, tuple[str, str, tuple[str, ...], tuple[tuple[str, ...], ...]]] = {
    "messages": (
        "backstay_messages",
        "Messages taken from the broker, by what became of them.",
        ("result",),
        (("accepted",), ("duplicate",), ("rejected",)),
    ),
    "ended": (
        "backstay_operations_ended",
        "Attempts of this process that ended, by type and how.",
        ("kind", "how"),
        (),
    ),
    "retries": ("backstay_retries", "Attempts that will be repeated, by type and reason code.", ("kind", "code"), ()),
    "compensations": (
        "backstay_compensations",
        "Operations that had to be put back, by type and what came of it.",
        ("kind", "outcome"),
        (),
    ),
    "poison": ("backstay_poison", "Operations given up because their workers died again and again.", (), ((),)),
    "takeovers": (
        "backstay_lease_takeovers",
        "Operations taken from a holder that had not given them back, by how that was noticed.",
        ("why",),
        (("lease-ended",), ("holder-dead",)),
    ),
    "region_ignored": (
        "backstay_region_ignored",
        "Replies 400 of a region that were ignored, by call and why.",
        ("region", "call", "why"),
        (),
    ),
    "region_requests": (
        "backstay_region_requests",
        "Tries of calls to a region, by what the reply was taken for.",
        ("region", "call", "result"),
        (),
    ),
}
#: What `count` measures: name, meaning, labels, buckets in seconds.
_HISTOGRAMS: dict[str, tuple[str, str, tuple[str, ...], tuple[float, ...]]] = {
    "operation_seconds": (
        "backstay_operation_duration_seconds",
        "From the acceptance of a command to its outcome.",
        ("kind", "outcome"),
        (0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 1800, 3600, 10800, 36000),
    ),
    "region_seconds": (
        "backstay_region_request_seconds",
        "How long a region took for one try of a call.",
        ("region",),
        (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    ),
}


class Metrics:
    """The counters of one process and a registry of their own. Safe to share between threads."""

    def __init__(self, figures: Callable[[], dict[str, Any]], now: Callable[[], float]) -> None:
        """`figures` answers as `Database.figures` does; it is called once for each `render`. `now`: in seconds."""
        self._registry, self._now = CollectorRegistry(), now
        self._counters = {
            key: Counter(name, meaning, labels, registry=self._registry)
            for key, (name, meaning, labels, _) in _COUNTERS.items()
        }
        self._histograms = {
            key: Histogram(name, meaning, labels, buckets=buckets, registry=self._registry)
            for key, (name, meaning, labels, buckets) in _HISTOGRAMS.items()
        }
        for key, (*_, series) in _COUNTERS.items():
            for labels in filter(None, series):
                self._counters[key].labels(*labels)
        self._duties = Gauge(
            "backstay_duty_last_success_timestamp_seconds",
            "When this process last carried out a duty of the sweeper to its end.",
            ["duty"],
            registry=self._registry,
        )
        self._registry.register(FromSql(figures, now))

    def accepted(self, count: int) -> None:
        """That many messages became operations."""
        self.count("messages", count, result="accepted")

    def duplicates(self, count: int) -> None:
        """That many messages had been accepted before."""
        self.count("messages", count, result="duplicate")

    def rejected(self, count: int) -> None:
        """That many messages became dead letters at the door."""
        self.count("messages", count, result="rejected")

    def ended(self, kind: str, how: str) -> None:
        """An attempt of an operation of that type ended that way."""
        self.count("ended", kind=kind, how=how)

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        """Add to the counter, or to the histogram, of that name in the tables above."""
        if name in self._histograms:
            self._histograms[name].labels(**labels).observe(amount)
        else:
            counter = self._counters[name]
            (counter.labels(**labels) if labels else counter).inc(amount)

    def duty_done(self, duty: str) -> None:
        """A duty of the sweeper went to its end."""
        self._duties.labels(duty).set(self._now())

    def duty_failed(self, duty: str) -> None:
        """A duty failed: it has a series from now on, whose time is 0 when it never went to its end."""
        self._duties.labels(duty)

    def watch_intake(self, states: Mapping[str, Callable[[], bool]]) -> None:
        """Show how intake stands, by name (`connected`, `paused`): 1 or 0, asked for at each scrape."""
        gauge = Gauge(
            "backstay_intake", "How the intake of this process stands: 1 when it does.", ["state"],
            registry=self._registry,
        )  # fmt: skip
        for name, ask in states.items():
            gauge.labels(name).set_function(ask)

    def render(self) -> bytes:
        """The text format of Prometheus. Never raises: without SQL its gauges are left out."""
        return generate_latest(self._registry)
