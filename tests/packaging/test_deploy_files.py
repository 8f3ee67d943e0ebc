"""Procfile, Dockerfile, compose file and systemd unit: they fit each other and the program.

No container is started. Where `docker compose` is installed it judges its file too; everywhere the structure is read.
"""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.source import PACKAGES, ROOT
from workers.cli.tree import BRANCHES
from workers.config import Settings, load

#: Read by the AWS client itself; every other variable must be a setting of ours.
FOREIGN_VARIABLES = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"}
#: Of the unit itself: where its worker listens. No setting, because `backstay web` has the one there is.
UNIT_VARIABLES = {"WORKER_HTTP"}
OURS = ("migrate", "web-1", "web-2", "web")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def settings_known() -> set[str]:
    return {item.metadata["env"] for item in fields(Settings) if item.metadata}


def commands_known() -> set[str]:
    """The first words that `backstay` understands."""
    return set(BRANCHES)


def procfile() -> dict[str, list[str]]:
    lines = (line.split(":", 1) for line in text("Procfile").splitlines() if line)
    return {name: shlex.split(command) for name, command in lines}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))
    return found


@pytest.fixture(scope="module")
def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text("deploy/backstay-worker.service"))
    return parser


def seconds(value: str) -> int:
    return int(value.removesuffix("s"))


def test_the_procfile_runs_commands_that_exist() -> None:
    for words in procfile().values():
        assert words[0] == "backstay" and words[1] in commands_known()


def typed(name: str, **environment: str) -> list[str]:
    """The words of a line of the Procfile, as the shell of its runner makes them."""
    line = next(line for line in text("Procfile").splitlines() if line.startswith(f"{name}:")).partition(":")[2]
    command = [shutil.which("sh") or "/bin/sh", "-c", f"printf '%s\\n' {line}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_the_procfile_listens_where_its_runner_says_and_else_on_an_address_for_each_program() -> None:
    assert typed("web") == ["backstay", "web", "--http", "127.0.0.1:8321"]
    assert typed("web", PORT="5000")[-1] == "0.0.0.0:5000"
    assert typed("worker") == ["backstay", "worker", "--http", "127.0.0.1:8322"], "its metrics ask for no login"
    assert typed("worker", PORT="5000")[-1] == "127.0.0.1:5000"
    assert typed("worker", PORT="5000", WORKER_HTTP="10.0.0.1:80")[-1] == "10.0.0.1:80"
    assert typed("web", PORT="5000", BACKSTAY_HTTP="10.0.0.1:80")[-1] == "10.0.0.1:80"


def test_the_procfile_migrates_once_per_release() -> None:
    assert procfile()["release"] == ["backstay", "migrate"]


@pytest.mark.parametrize("service", OURS)
def test_a_container_of_ours_runs_a_command_that_exists(compose: dict[str, Any], service: str) -> None:
    assert compose["services"][service]["command"][0] in commands_known()


@pytest.mark.parametrize("service", OURS)
def test_a_container_of_ours_is_given_settings_that_exist(compose: dict[str, Any], service: str) -> None:
    given = set(compose["services"][service]["environment"])
    assert given - FOREIGN_VARIABLES <= settings_known()


@pytest.mark.parametrize("service", OURS)
def test_a_container_of_ours_could_load_its_configuration(compose: dict[str, Any], service: str) -> None:
    environment = {**compose["services"][service]["environment"], "BACKSTAY_SECRET_KEYS": "k1:AAAA"}
    assert load(environment).origins["database_url"] == "environment DATABASE_URL"


def test_the_two_nodes_have_names_and_applications_of_their_own(compose: dict[str, Any]) -> None:
    one, two = (compose["services"][name] for name in ("web-1", "web-2"))
    assert one["environment"]["BACKSTAY_NODE"] != two["environment"]["BACKSTAY_NODE"]
    assert not set(one["volumes"]) & set(two["volumes"])


def test_the_nodes_share_everything_else(compose: dict[str, Any]) -> None:
    one, two = (dict(compose["services"][name]["environment"]) for name in ("web-1", "web-2"))
    assert one.pop("BACKSTAY_NODE") and two.pop("BACKSTAY_NODE")
    assert one == two


def test_no_node_works_before_the_schema_is_there(compose: dict[str, Any]) -> None:
    for name in ("web-1", "web-2", "web"):
        assert compose["services"][name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_whatever_a_container_waits_for_exists(compose: dict[str, Any]) -> None:
    services = compose["services"]
    awaited = {name for service in services.values() for name in service.get("depends_on", ())}
    mounted = {m.split(":")[0] for service in services.values() for m in service.get("volumes", ())}
    assert awaited <= set(services) and mounted == set(compose["volumes"])


def published(compose: dict[str, Any], service: str) -> tuple[str, str]:
    """(address on this host, port in the container) of the one port that it publishes."""
    (mapping,) = compose["services"][service]["ports"]
    address, _, inside = mapping.rpartition(":")
    return address, inside


@pytest.mark.parametrize("service", ["web-1", "web-2"])
def test_a_container_of_a_node_tells_its_own_health_and_metrics(compose: dict[str, Any], service: str) -> None:
    """Nobody else can: `backstay web` counts nothing of what a node does."""
    command, option, address = compose["services"][service]["command"]
    inside = published(compose, service)[1]
    assert (command, option, address) == ("worker", "--http", f"0.0.0.0:{inside}")
    assert f"127.0.0.1:{inside}/livez" in " ".join(compose["services"][service]["healthcheck"]["test"])


def test_whatever_listens_is_scraped_by_the_example_and_no_two_share_an_address(compose: dict[str, Any]) -> None:
    addresses = [published(compose, service)[0] for service in ("web", "web-1", "web-2")]
    (job,) = yaml.safe_load(text("deploy/prometheus/prometheus.yml"))["scrape_configs"]
    assert len(set(addresses)) == 3
    assert [target for group in job["static_configs"] for target in group["targets"]] == addresses


def test_a_node_that_runs_as_root_may_remove_a_tree_with_immutable_files(
    compose: dict[str, Any], unit: configparser.ConfigParser
) -> None:
    assert all("LINUX_IMMUTABLE" in compose["services"][node]["cap_add"] for node in ("web-1", "web-2"))
    assert "CAP_LINUX_IMMUTABLE" in unit["Service"]["CapabilityBoundingSet"].split()


def test_no_secret_key_has_a_default(compose: dict[str, Any]) -> None:
    """A key that stands in a public file seals nothing."""
    value = compose["services"]["web-1"]["environment"]["BACKSTAY_SECRET_KEYS"]
    assert value.startswith("${BACKSTAY_SECRET_KEYS:?")


def test_a_stopping_container_has_longer_than_a_stopping_worker_needs(compose: dict[str, Any]) -> None:
    assert seconds(compose["services"]["web-1"]["stop_grace_period"]) > load({}).shutdown_seconds


def test_docker_compose_accepts_the_file(tmp_path: Path) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed; the structure is checked by the other tests")
    (tmp_path / "env").write_text("BACKSTAY_SECRET_KEYS=k1:AAAA\n")
    command = [docker, "compose", "--env-file", str(tmp_path / "env"), "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_image_holds_the_four_packages_by_name() -> None:
    copied = re.findall(r"^COPY (\w+) \./(\w+)$", text("Dockerfile"), flags=re.MULTILINE)
    assert copied == [(name, name) for name in PACKAGES]


def test_whatever_the_image_copies_is_sent_to_the_builder() -> None:
    sent = {line[1:].rstrip("/") for line in text(".dockerignore").splitlines() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", text("Dockerfile"), flags=re.MULTILINE)
    assert sent == {name for names in copied for name in names.split()}


def test_the_image_runs_what_the_lock_pins_and_not_as_root() -> None:
    lines = text("Dockerfile").splitlines()
    assert any("--require-hashes -r requirements.lock" in line for line in lines)
    assert [line for line in lines if line.startswith("USER ")][-1] == "USER backstay"


def test_the_image_sets_only_settings_that_exist() -> None:
    assert set(re.findall(r"\bBACKSTAY_[A-Z_]+", text("Dockerfile"))) <= settings_known()


def test_the_unit_runs_a_command_that_exists(unit: configparser.ConfigParser) -> None:
    program, command, *_ = unit["Service"]["ExecStart"].split()
    assert Path(program).name == "backstay" and command in commands_known()


def test_the_unit_serves_health_and_metrics_beside_those_of_web(unit: configparser.ConfigParser) -> None:
    given = dict(item.split("=", 1) for item in unit["Service"]["Environment"].split())
    assert unit["Service"]["ExecStart"].split()[1:] == ["worker", "--http", "${WORKER_HTTP}"]
    assert load({"BACKSTAY_HTTP": given["WORKER_HTTP"]}).http == given["WORKER_HTTP"] != load({}).http


def test_the_unit_brings_a_dead_worker_back_for_ever(unit: configparser.ConfigParser) -> None:
    assert unit["Service"]["Restart"] == "always" and unit["Unit"]["StartLimitIntervalSec"] == "0"


def test_the_unit_gives_a_stopping_worker_longer_than_it_needs(unit: configparser.ConfigParser) -> None:
    assert unit["Service"]["KillSignal"] == "SIGTERM"
    assert seconds(unit["Service"]["TimeoutStopSec"]) > load({}).shutdown_seconds


def test_the_unit_may_write_where_its_settings_point(unit: configparser.ConfigParser) -> None:
    service = unit["Service"]
    given = dict(item.split("=", 1) for item in service["Environment"].split())
    assert set(given) <= settings_known() | UNIT_VARIABLES
    assert given["BACKSTAY_APPS_ROOT"] in service["ReadWritePaths"].split()
    assert given["BACKSTAY_DATA_DIR"] == f"/var/lib/{service['StateDirectory']}"
