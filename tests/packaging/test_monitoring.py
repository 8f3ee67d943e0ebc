"""Alert rules and dashboard: accepted by promtool, tested rule by rule, and about metrics that this program has."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.source import ROOT
from tests.fakes.figures import FIGURES
from workers.metrics import Metrics

PROMETHEUS, DASHBOARD = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana" / "backstay.json"
SUFFIXES = ("_bucket", "_count", "_sum", "_created")
NAME = re.compile(r"\bbackstay_[a-z_]+")


def promtool(*arguments: str, given: bytes = b"") -> str:
    """What promtool says of it; the test fails when it is not content."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("BACKSTAY_REQUIRE_SERVERS"):
            pytest.fail("promtool is not installed, and BACKSTAY_REQUIRE_SERVERS is set")
        pytest.skip("promtool is not installed")
    done = subprocess.run([program, *arguments], input=given, cwd=PROMETHEUS, capture_output=True, check=False)
    told = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, told
    return told


def full() -> Metrics:
    """Metrics in which every family has a series."""
    metrics = Metrics(lambda: FIGURES, lambda: 0.0)
    metrics.watch_intake({"connected": lambda: True, "paused": lambda: False})
    metrics.ended("create-snapshot", "succeeded")
    metrics.count("operation_seconds", 1.0, kind="create-snapshot", outcome="succeeded")
    metrics.count("region_seconds", 1.0, region="eu-1")
    metrics.duty_done("garbage")
    return metrics


def exported() -> set[str]:
    names = re.findall(r"^# TYPE (\S+)", full().render().decode(), re.MULTILINE)
    return {name for name in names if not name.endswith("_created")}


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((PROMETHEUS / "backstay.rules.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def dashboard_expressions() -> Iterator[str]:
    for panel in panels():
        yield from (target["expr"] for target in panel.get("targets", ()))


def asked_for(expressions: Iterator[str]) -> set[str]:
    names = {name for expression in expressions for name in NAME.findall(expression)}
    return {next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name) for name in names}


def test_prometheus_takes_the_configuration_with_its_rules() -> None:
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_every_rule_fires_on_what_it_is_for_and_none_on_a_healthy_day() -> None:
    promtool("test", "rules", "backstay.rules.test.yml")


def test_no_rule_is_untested() -> None:
    tested = (PROMETHEUS / "backstay.rules.test.yml").read_text(encoding="utf-8")
    assert not [rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in tested]


def test_what_a_process_exports_is_named_as_prometheus_wants_it() -> None:
    assert not promtool("check", "metrics", given=full().render())


def test_every_rule_asks_for_metrics_that_exist() -> None:
    assert asked_for(rule["expr"] for rule in rules()) <= exported()


def test_every_rule_says_how_bad_it_is_and_with_which_command_to_begin() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert re.search(r"`(backstay |sweep|process)|BACKSTAY_|workers", rule["annotations"]["description"]), rule


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    assert asked_for(dashboard_expressions()) == exported()


def test_the_dashboard_takes_its_data_from_the_source_that_one_chooses() -> None:
    sources = {panel["datasource"]["uid"] for panel in panels() if "datasource" in panel}
    assert sources == {"${datasource}"}


def test_no_two_panels_share_an_id_or_a_place() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(ids) == len(set(ids))
    cells = [
        (place["x"] + dx, place["y"] + dy)
        for place in (panel["gridPos"] for panel in panels())
        for dx in range(place["w"])
        for dy in range(place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_prometheus_can_read_every_question_of_the_dashboard(tmp_path: Path) -> None:
    """As rules, because promtool parses expressions only there."""
    asked = [text.replace("$__rate_interval", "5m").replace("$job", ".*") for text in dashboard_expressions()]
    rules = [{"record": f"asked:{number}", "expr": text} for number, text in enumerate(asked)]
    file = tmp_path / "asked.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    promtool("check", "rules", str(file))
