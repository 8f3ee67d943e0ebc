"""Counters, gauges and their absence, without a server and without a database."""

from __future__ import annotations

import re
from typing import Any

from domain.errors import DatabaseUnavailable
from tests.fakes.figures import FIGURES, NOW
from workers.metrics import Metrics


def of(figures: dict[str, Any] = FIGURES) -> Metrics:
    return Metrics(lambda: figures, lambda: NOW)


def lines(metrics: Metrics) -> list[str]:
    return [line for line in metrics.render().decode().splitlines() if not line.startswith("#")]


def test_gauges_are_what_sql_says_in_base_units() -> None:
    found = lines(of())
    assert 'backstay_operations{kind="create-snapshot",state="QUEUED"} 3.0' in found
    assert 'backstay_operations{kind="restore-snapshot",state="STUCK"} 1.0' in found
    assert "backstay_operations_ready 2.0" in found
    assert "backstay_oldest_queued_seconds 1.5" in found
    assert "backstay_oldest_running_seconds 2.5" in found
    assert "backstay_dead_letters 4.0" in found
    assert 'backstay_dead_letters_by_reason{reason="poison"} 1.0' in found
    assert "backstay_outbox_waiting 5.0" in found
    assert "backstay_outbox_oldest_seconds 0.25" in found
    assert "backstay_garbage_oldest_seconds 3.5" in found
    assert 'backstay_node_last_seen_timestamp_seconds{node="n1"} 9999.0' in found
    assert "backstay_database_up 1.0" in found


def test_each_service_tells_how_old_its_data_is_and_when_it_was_read_back() -> None:
    found = lines(of())
    assert 'backstay_last_success_timestamp_seconds{service="web",tenant="acme"} 9000.0' in found
    assert 'backstay_rpo_age_seconds{service="web",tenant="acme"} 1000.0' in found
    assert 'backstay_verified_age_seconds{service="web",tenant="acme"} 500.0' in found
    assert 'backstay_rpo_age_seconds{service="api",tenant="acme"} 100.0' in found
    assert 'backstay_rpo_goal_seconds{service="web",tenant="acme"} 500.0' in found
    assert 'backstay_drill_age_seconds{service="web",tenant="acme"} 400.0' in found
    assert 'backstay_drill_recovery_seconds{service="web",tenant="acme"} 2.5' in found
    assert "backstay_schedule_late_seconds 1.5" in found


def test_what_was_never_read_back_has_no_age_that_looks_like_one() -> None:
    assert not [line for line in lines(of()) if re.match("backstay_(verified|drill|rpo_goal)", line) and "api" in line]


def test_sql_is_asked_once_for_each_scrape_and_never_before() -> None:
    asked = []

    def figures() -> dict[str, Any]:
        asked.append(1)
        return FIGURES

    metrics = Metrics(figures, lambda: NOW)
    assert not asked
    metrics.render()
    metrics.render()
    assert len(asked) == 2


def test_without_sql_its_gauges_are_left_out_and_the_counters_stay() -> None:
    def figures() -> dict[str, Any]:
        raise DatabaseUnavailable("away")

    metrics = Metrics(figures, lambda: NOW)
    metrics.ended("create-snapshot", "succeeded")
    found = lines(metrics)
    assert "backstay_database_up 0.0" in found
    assert 'backstay_operations_ended_total{how="succeeded",kind="create-snapshot"} 1.0' in found
    assert not [line for line in found if line.startswith(("backstay_operations{", "backstay_rpo", "backstay_node"))]


def test_two_processes_in_one_interpreter_do_not_share_counters() -> None:
    first, second = of(), of()
    first.accepted(7)
    assert 'backstay_messages_total{result="accepted"} 7.0' in lines(first)
    assert 'backstay_messages_total{result="accepted"} 0.0' in lines(second)


def test_what_an_alert_waits_for_stands_at_zero_before_it_happens() -> None:
    """A series that begins with its first event shows no increase, and nobody is woken."""
    found = lines(of())
    assert "backstay_poison_total 0.0" in found
    assert 'backstay_lease_takeovers_total{why="lease-ended"} 0.0' in found
    assert 'backstay_lease_takeovers_total{why="holder-dead"} 0.0' in found


def test_a_duration_is_measured_and_a_counter_counts_under_one_call() -> None:
    metrics = of()
    metrics.count("operation_seconds", 4.0, kind="create-snapshot", outcome="succeeded")
    metrics.count("takeovers", 3, why="holder-dead")
    found = lines(metrics)
    series = 'kind="create-snapshot",le="5.0",outcome="succeeded"'
    assert f"backstay_operation_duration_seconds_bucket{{{series}}} 1.0" in found
    assert 'backstay_lease_takeovers_total{why="holder-dead"} 3.0' in found


def test_intake_is_asked_at_each_scrape_how_it_stands() -> None:
    connected = [True]
    metrics = of()
    metrics.watch_intake({"connected": lambda: connected[-1]})
    assert 'backstay_intake{state="connected"} 1.0' in lines(metrics)
    connected.append(False)
    assert 'backstay_intake{state="connected"} 0.0' in lines(metrics)


def test_a_duty_tells_when_it_was_last_done() -> None:
    metrics = of()
    metrics.duty_done("garbage")
    assert f'backstay_duty_last_success_timestamp_seconds{{duty="garbage"}} {NOW}' in lines(metrics)
    metrics.duty_failed("garbage")
    metrics.duty_failed("expire")
    assert f'backstay_duty_last_success_timestamp_seconds{{duty="garbage"}} {NOW}' in lines(metrics)
    assert 'backstay_duty_last_success_timestamp_seconds{duty="expire"} 0.0' in lines(metrics)
