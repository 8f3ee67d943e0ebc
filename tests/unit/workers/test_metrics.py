"""Counters, gauges and their absence, without a server and without a database."""

from __future__ import annotations

from typing import Any

from domain.errors import DatabaseUnavailable
from workers.metrics import Metrics

COUNTS: dict[str, Any] = {
    "operations": {("create-snapshot", "QUEUED"): 3, ("restore-snapshot", "STUCK"): 1},
    "ready": 2,
    "oldest_queued_age": 1500,
    "dead_letters": 4,
    "outbox_waiting": 5,
    "outbox_oldest_age": 250,
}


def lines(metrics: Metrics) -> list[str]:
    return [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]


def test_gauges_are_what_sql_says_in_base_units() -> None:
    found = lines(Metrics(lambda: COUNTS))
    assert 'backstay_operations{kind="create-snapshot",state="QUEUED"} 3.0' in found
    assert 'backstay_operations{kind="restore-snapshot",state="STUCK"} 1.0' in found
    assert "backstay_operations_ready 2.0" in found
    assert "backstay_oldest_queued_seconds 1.5" in found
    assert "backstay_dead_letters 4.0" in found
    assert "backstay_outbox_waiting 5.0" in found
    assert "backstay_outbox_oldest_seconds 0.25" in found
    assert "backstay_database_up 1.0" in found


def test_sql_is_asked_once_for_each_scrape_and_never_before() -> None:
    asked = []

    def counts() -> dict[str, Any]:
        asked.append(1)
        return COUNTS

    metrics = Metrics(counts)
    assert not asked
    metrics.render()
    metrics.render()
    assert len(asked) == 2


def test_without_sql_its_gauges_are_left_out_and_the_counters_stay() -> None:
    def counts() -> dict[str, Any]:
        raise DatabaseUnavailable("away")

    metrics = Metrics(counts)
    metrics.ended("create-snapshot", "succeeded")
    found = lines(metrics)
    assert "backstay_database_up 0.0" in found
    assert 'backstay_operations_ended_total{how="succeeded",kind="create-snapshot"} 1.0' in found
    assert not [line for line in found if line.startswith("backstay_operations{")]


def test_two_processes_in_one_interpreter_do_not_share_counters() -> None:
    first, second = Metrics(lambda: COUNTS), Metrics(lambda: COUNTS)
    first.accepted(7)
    assert 'backstay_messages_total{result="accepted"} 7.0' in lines(first)
    assert 'backstay_messages_total{result="accepted"} 0.0' in lines(second)
