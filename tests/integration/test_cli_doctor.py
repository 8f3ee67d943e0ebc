"""`backstay doctor`: each thing that is wrong is found, named, and has its next step."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from domain.audit import Actor
from domain.drill import Drill
from domain.node import NodeReport
from domain.operation import State
from domain.outcome import Change, Outcome, SaveService
from domain.schedule import Schedule
from domain.schedule_changes import SaveDrill, SaveSchedule
from domain.service import Service
from storage.sealing import KeyRing
from storage.sql import open_database
from tests.command_line import CommandLine
from tests.servers.redis import RedisServer
from workers import node_report
from workers.cli import checks_of_schedules
from workers.cli.session import Session
from workers.scheduler import LEASE_MS

HOUR_MS = 3_600_000


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    made = CommandLine(tmp_path / "data", monkeypatch)
    assert made.run("migrate").code == 0
    made.system.database.nodes.beat("n1", "boot", "1")
    (made.data_dir / "apps").mkdir()
    return made


def _found(cli: CommandLine, name: str) -> list[dict[str, Any]]:
    """What one check found; every finding of all checks that is not ok has a next step."""
    checks = cli.run("doctor", "--json").document()["checks"]
    assert [one for one in checks if one["verdict"] != "ok" and not one["next_step"]] == []
    return [one for one in checks if one["name"] == name]


def test_the_configuration_is_told_with_its_origin_and_what_is_wrong_in_it_is_named(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (found,) = _found(cli, "configuration")
    assert "node (environment BACKSTAY_NODE)" in found["detail"]
    monkeypatch.setenv("BACKSTAY_SLOTS", "create-snapshots=2")
    (found,) = _found(cli, "configuration")
    assert (found["verdict"], "create-snapshots" in found["detail"]) == ("fail", True)
    monkeypatch.delenv("BACKSTAY_SLOTS")
    monkeypatch.setenv("BACKSTAY_LEASE_SECONDS", "10")
    (found,) = _found(cli, "configuration")
    assert (found["verdict"], "a lease of 10 s" in found["detail"]) == ("warn", True)


def test_each_region_is_asked_and_named(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    regions = {name: {"url": "http://127.0.0.1:9", "connect_seconds": 0.5, "call_seconds": 0.5} for name in ("a", "b")}
    monkeypatch.setenv("BACKSTAY_REGIONS", json.dumps(regions))
    found = _found(cli, "regions")
    assert [(one["about"], one["verdict"]) for one in found] == [("a", "fail"), ("b", "fail")]
    assert "refused the connection" in found[0]["detail"]


def test_a_ring_that_others_can_read_fails(cli: CommandLine) -> None:
    cli.accept()
    os.chmod(cli.data_dir / "secret.keys", 0o644)
    (found,) = _found(cli, "data directory")
    assert (found["verdict"], found["next_step"]) == ("fail", f"chmod 600 {cli.data_dir}/secret.keys")


def test_a_disk_without_room_fails_and_says_what_waits(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_KEEP_FREE", "900000T")
    (found,) = _found(cli, "room")
    assert (found["verdict"], "no work on files begins here" in found["detail"]) == ("fail", True)


@pytest.mark.parametrize(("place", "lacking"), [("apps", "inodes"), ("store", "blocks")])
def test_each_full_disk_of_this_host_is_named(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, place: str, lacking: str
) -> None:
    real, full = os.statvfs, str(cli.data_dir / place)
    (cli.data_dir / place).mkdir(exist_ok=True)
    gone = {"f_bavail": 0} if lacking == "blocks" else {"f_favail": 0}

    def told(path: str) -> Any:
        real(path)  # what does not exist has no room to tell of
        fields = {"f_bavail": 10**7, "f_frsize": 4096, "f_blocks": 10**7, "f_files": 10**6, "f_favail": 10**6}
        return SimpleNamespace(**fields | (gone if path == full else {}))

    monkeypatch.setattr(os, "statvfs", told)
    (found,) = _found(cli, "room")
    assert (found["verdict"], full in found["detail"]) == ("fail", True)


def test_a_program_that_is_not_there_is_named(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_HOOKS", json.dumps({"before_snapshot": ["/no/such/freeze", "{service}"]}))
    (found,) = _found(cli, "programs")
    assert (found["verdict"], "hooks.before_snapshot: /no/such/freeze" in found["detail"]) == ("fail", True)


def test_a_service_without_its_directory_is_named(cli: CommandLine) -> None:
    cli.accept("register-service")
    saved = SaveService(Service("web", "acme", "web", "acme/web", node="n1"))
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("registered", changes=(saved,)))
    (found,) = _found(cli, "apps root")
    assert (found["verdict"], "web (acme/web)" in found["detail"]) == ("warn", True)


def test_what_is_stuck_and_what_is_old_have_a_command_each(cli: CommandLine) -> None:
    stuck = cli.accept(service="web", message_id="stuck")
    cli.system.database.ledger.settle(cli.claim(), Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    old = cli.accept(service="db", message_id="old")
    database = open_database(cli.system.settings.database_url, cli.system.keyring)
    with database._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE operation SET created_at = created_at - {HOUR_MS} WHERE op_id = '{old}'")
    database.close()
    found = {one["about"]: one for one in _found(cli, "work")}
    assert found[stuck]["verdict"] == "fail"
    assert f"operations resolve {stuck} --retry" in found[stuck]["next_step"]
    assert (found[old]["verdict"], "QUEUED for 60 min" in found[old]["detail"]) == ("warn", True)
    assert f"operations explain {old}" in found[old]["next_step"]


def test_each_node_that_is_drained_away_full_or_late_is_named(cli: CommandLine) -> None:
    nodes = cli.system.database.nodes
    nodes.beat("drained", "boot", "1")
    nodes.drain("drained", Actor("root@ops", "cli"), "new disk")
    nodes.beat("full", "boot", "1", NodeReport(low_on_room="/srv/apps has 0.10 GB free"))
    nodes.beat("late", "boot", "2", NodeReport(wall_ms=1))
    nodes.beat("lost", "boot", "1")
    database = open_database(cli.system.settings.database_url, cli.system.keyring)
    with database._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE node SET seen_at = seen_at - {3 * HOUR_MS} WHERE node = 'lost'")
    database.close()
    found = {one["about"]: one for one in _found(cli, "nodes")}
    assert set(found) == {"drained", "full", "late", "lost", ""}
    assert "nodes undrain drained" in found["drained"]["next_step"]
    assert (found["full"]["verdict"], "0.10 GB free" in found["full"]["detail"]) == ("fail", True)
    assert "nodes forget lost" in found["lost"]["next_step"] and "3 h" in found["lost"]["detail"]
    assert "several releases: 1, 2" in found[""]["detail"]


def test_a_node_says_that_it_has_no_room_before_anybody_asks(cli: CommandLine) -> None:
    settings = cli.system.settings
    disks = node_report.disks_of(settings)
    assert set(disks) == {"apps", "data"}
    assert disks["apps"].total >= disks["apps"].free > 0


def test_a_broker_with_messages_says_how_many(cli: CommandLine) -> None:
    (before,) = _found(cli, "broker")
    assert "is made by the first node or publisher" in before["detail"]
    published = cli.run("publish", "create-snapshot", "--subject", "tenant/acme/service/web")
    assert published.code == 0, published.err
    (after,) = _found(cli, "broker")
    assert "1 messages wait in backstay.inbox" in after["detail"]


def test_what_should_happen_by_itself_and_does_not_is_named(cli: CommandLine) -> None:
    database = cli.system.database
    service = Service("web", "acme", "web", "web", node="n1", rpo_seconds=60)
    nightly = Schedule("acme", "nightly", "create-snapshot", "0 3 * * *", service_id="web", next_at=1)
    failed = Drill("drill-1", "acme", "web", "", "n1", passed=False, reason="no-snapshot")
    made: tuple[Change, ...] = (SaveService(service), SaveSchedule(nightly), SaveDrill(failed))
    for number, change in enumerate(made):
        cli.accept(message_id=f"m{number}", service="web")
        database.ledger.settle(cli.claim(), Outcome.succeeded("made", changes=(change,)))
    other = open_database(cli.system.settings.database_url, cli.system.keyring)
    with other._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE service SET rpo_since = rpo_since - {HOUR_MS}")
    other.close()
    _away(cli)
    (unled,) = _found(cli, "schedules")
    assert (unled["verdict"], unled["detail"]) == ("fail", "no node looks after 1 schedules")
    assert database.schedules.lead("n1|b|ns|1|1", 60_000, lambda owner: False) is not None
    (late,) = _found(cli, "schedules")
    assert (late["verdict"], late["about"]) == ("warn", "nightly")
    (missed,) = _found(cli, "recovery points")
    assert (missed["about"], "has no good snapshot; the goal is" in missed["detail"]) == ("web", True)
    (drill,) = _found(cli, "drills")
    assert (drill["about"], "no-snapshot" in drill["detail"]) == ("web", True)


def _away(cli: CommandLine) -> None:
    """No node is alive any more."""
    with cli.system.database._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE node SET seen_at = seen_at - {HOUR_MS}")


def _with_a_schedule(cli: CommandLine) -> None:
    nightly = Schedule("acme", "nightly", "create-snapshot", "0 3 * * *", service_id="web", next_at=2**52)
    cli.accept(message_id="m0", service="web")
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("made", changes=(SaveSchedule(nightly),)))


def test_schedules_between_two_nodes_are_no_failure_as_long_as_a_lease_lasts(cli: CommandLine) -> None:
    _with_a_schedule(cli)
    schedules = cli.system.database.schedules
    assert schedules.lead("n1|b|ns|1|1", LEASE_MS, lambda owner: False) is not None
    schedules.step_down("n1|b|ns|1|1")
    _away(cli)
    (between,) = _found(cli, "schedules")
    assert between["verdict"] == "warn" and re.search(r"n1 did \d+ s ago", between["detail"])
    with cli.system.database._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE scheduler SET looked_at = looked_at - {LEASE_MS}")
    (unled,) = _found(cli, "schedules")
    assert unled["verdict"] == "fail"


def test_a_node_that_has_just_started_is_given_the_time_to_take_schedules_up(cli: CommandLine) -> None:
    _with_a_schedule(cli)
    database = cli.system.database
    waited: list[float] = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            database.schedules.lead("n1|b|ns|1|1", LEASE_MS, lambda owner: False)

    here = cast(Session, SimpleNamespace(database=lambda: database))
    (led,) = checks_of_schedules.schedules(here, pause)
    assert (led.verdict, len(waited)) == ("ok", 2)
    database.schedules.step_down("n1|b|ns|1|1")
    (still,) = checks_of_schedules.schedules(here, waited.append)
    assert (still.verdict, len(waited)) == ("warn", 2 + checks_of_schedules.LOOKS)


def test_a_redis_that_forgets_what_it_has_confirmed_is_named(
    cli: CommandLine, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every message that no node has accepted would be lost with it, and nobody would hear of that."""
    redis_server.start()
    monkeypatch.setenv("BROKER_URL", f"redisstream{redis_server.url.removeprefix('redis')}")
    (kept,) = _found(cli, "broker")
    with redis.Redis.from_url(redis_server.url) as client:
        try:
            client.config_set("appendonly", "no")
            (forgets,) = _found(cli, "broker")
            client.config_set("maxmemory", "64mb")
            client.config_set("maxmemory-policy", "allkeys-lru")
            (drops,) = _found(cli, "broker")
        finally:
            for name, value in (("maxmemory", "0"), ("maxmemory-policy", "noeviction"), ("appendonly", "yes")):
                client.config_set(name, value)
    assert kept["verdict"] == "ok"
    assert (forgets["verdict"], "no append-only file" in forgets["detail"]) == ("warn", True)
    assert "appendonly yes" in forgets["next_step"]
    assert "drops whole queues (allkeys-lru)" in drops["detail"]


def test_a_postgresql_that_may_take_commits_back_is_named(
    cli: CommandLine, fresh_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The servers of these tests run without fsync, because nobody cuts their power."""
    monkeypatch.setenv("DATABASE_URL", fresh_postgres_url)
    monkeypatch.setenv("BACKSTAY_SECRET_KEYS", KeyRing.generate_text())
    assert cli.run("migrate").code == 0
    (found,) = _found(cli, "database")
    assert (found["verdict"], "fsync off" in found["detail"]) == ("warn", True)
    assert found["next_step"] == "turn on fsync in PostgreSQL's settings"
