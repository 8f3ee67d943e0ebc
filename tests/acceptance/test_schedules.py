"""Schedules, drills and recovery points through messages, the command line and a running node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from domain.operation import Operation, State
from domain.schedule import FiringState
from domain.snapshot import SnapshotState
from tests.acceptance.platform import Platform, code, digest, grow
from tests.command_line import check_document
from tests.waiting import eventually
from workers.cli.app import build


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A node whose scheduler looks often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.scheduler.LOOK_SECONDS", 0.05)
        patch.setattr("workers.scheduler.GOALS_SECONDS", 0.05)
        made = Platform(tmp_path_factory.mktemp("platform"))
        made.start("web-1")
        yield made
        made.close()


def cli(platform: Platform, *arguments: str, code: int = 0) -> Any:
    environment = {
        "BACKSTAY_DATA_DIR": str(platform.home),
        "BACKSTAY_NODE": "observer",
        "BACKSTAY_ACTOR": "anna",
    }
    answer = CliRunner().invoke(build(), [*arguments, "--json"], env=environment)
    assert answer.exit_code == code, answer.output
    # The node of this process tells what it does in between.
    document = json.loads(next(line for line in answer.stdout.splitlines() if line.startswith("{")))
    check_document(arguments, document)
    return document


def hours_ago(platform: Platform, name: str, hours: int) -> None:
    """As if nobody had looked for that long."""
    with platform.system.database._tx.write("test") as connection:
        connection.execute(
            text("UPDATE schedule SET next_at = next_at - :ms WHERE name = :name"),
            {"ms": hours * 3_600_000, "name": name},
        )


def ended(platform: Platform, name: str, count: int) -> list[Operation]:
    """Wait until so many operations of a schedule have succeeded."""
    source = f"/backstay/schedules/acme/{name}"

    def found() -> list[Operation]:
        listed = [one for one in platform.system.database.list_operations(limit=200) if one.source == source]
        done = [one for one in listed if one.state is State.SUCCEEDED]
        return done if len(done) == count else []

    return eventually(found, what=f"{count} operations of {name} have ended")


def figures(operation: Operation) -> dict[str, Any]:
    assert operation.outcome is not None
    found: dict[str, Any] = operation.outcome["figures"]
    return found


# ---------------------------------------------------------------- schedules
def test_a_schedule_makes_snapshots_by_itself_and_its_history_says_so(platform: Platform) -> None:
    platform.service("sc-own")
    nightly = ("--service", "sc-own", "--cron", "15 * * * *", "--data", '{"labels": ["by:schedule"]}')
    done = cli(platform, "schedules", "set", "sc-nightly", *nightly)
    assert done["outcome"] == "succeeded" and "create-snapshot of service sc-own" in done["sentence"]
    hours_ago(platform, "sc-nightly", 5)
    (operation,) = ended(platform, "sc-nightly", 1)
    assert platform.listed("sc-own", labels=("by:schedule",)) == [operation.op_id]
    shown = cli(platform, "schedules", "show", "sc-nightly")
    assert [(one["state"], one["operations"]) for one in shown["history"]] == [("asked", [operation.op_id])]
    assert shown["scheduler"] == "web-1" and len(shown["next_times"]) == 5
    assert shown["next_times"][0] > shown["history"][0]["nominal_at"]


def test_a_paused_schedule_rests_says_why_and_goes_on_as_it_is_told(platform: Platform) -> None:
    platform.service("sc-rest")
    cli(platform, "schedules", "set", "sc-pause", "--service", "sc-rest", "--cron", "@hourly")
    cli(platform, "schedules", "pause", "sc-pause", "--reason", "a move", "--until", "2126-01-01T00:00:00Z")
    hours_ago(platform, "sc-pause", 3)
    (listed,) = [one for one in cli(platform, "schedules", "list")["schedules"] if one["name"] == "sc-pause"]
    assert listed["paused"]["reason"] == "a move" and listed["paused"]["by"] == "anna"
    cli(platform, "schedules", "resume", "sc-pause", "--skip-missed")
    assert platform.system.database.schedules.history("acme", "sc-pause", 10) == []
    hours_ago(platform, "sc-pause", 3)
    ended(platform, "sc-pause", 1)


def test_a_schedule_that_is_removed_is_gone_and_its_name_is_free(platform: Platform) -> None:
    platform.service("sc-gone")
    cli(platform, "schedules", "set", "sc-brief", "--service", "sc-gone", "--cron", "@daily")
    cli(platform, "schedules", "remove", "sc-brief")
    assert cli(platform, "schedules", "show", "sc-brief", code=10)["error"]["code"] == "unknown-schedule"
    again = platform.run("pause-schedule", {"reason": "a move"}, service="sc-brief")
    assert code(again) == (State.FAILED, "unknown-schedule")
    cli(platform, "schedules", "set", "sc-brief", "--service", "sc-gone", "--cron", "@daily")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"kind": "create-snapshot", "cron": "61 * * * *"}, "invalid"),
        ({"kind": "create-snapshot", "cron": "0 0 31 2 *"}, "invalid"),
        ({"kind": "create-snapshot", "cron": "@daily", "zone": "Nowhere/Land"}, "invalid"),
        ({"kind": "create-snapshot", "cron": "@daily", "service": "nobody"}, "unknown-service"),
    ],
)
def test_a_schedule_that_could_never_ask_is_refused(platform: Platform, data: dict[str, Any], reason: str) -> None:
    assert code(platform.run("set-schedule", data, service="sc-wrong")) == (State.FAILED, reason)
    assert platform.system.database.schedules.get("acme", "sc-wrong") is None


def test_another_tenant_s_schedules_cannot_be_touched(platform: Platform) -> None:
    platform.service("sc-mine")
    platform.run("set-schedule", {"kind": "create-snapshot", "cron": "@daily", "service": "sc-mine"}, service="sc-x")
    foreign = {"kind": "create-snapshot", "cron": "@daily", "service": "sc-mine"}
    assert code(platform.run("set-schedule", foreign, service="sc-y", tenant="other")) == (State.FAILED, "wrong-tenant")
    removed = platform.run("remove-schedule", {}, service="sc-x", tenant="other")
    assert code(removed) == (State.FAILED, "unknown-schedule")


def test_a_tenant_wide_schedule_reads_a_share_of_every_service_s_snapshots_back(platform: Platform) -> None:
    for name in ("sc-v1", "sc-v2"):
        assert platform.run("register-service", {"node": "web-1"}, service=name, tenant="wide").state is State.SUCCEEDED
        tree = platform.apps("web-1") / name
        grow(tree, seed=1, files=3)
        platform.run("create-snapshot", {}, service=name, tenant="wide")
    rule = ("--tenant", "wide", "--kind", "verify-snapshot", "--cron", "@hourly", "--data", '{"percent": 100}')
    cli(platform, "schedules", "set", "sc-read", *rule)
    hours_ago(platform, "sc-read", 2)

    def verified() -> bool:
        found = platform.system.database.catalogue.find("wide", [], [], 10, None)
        return len(found) == 2 and all(one.verified_level == "hash" for one in found)

    eventually(verified, what="both snapshots were read back")
    rows = platform.system.database.schedules.history("wide", "sc-read", 10)
    assert sorted((one.service_id, one.state) for one in rows) == [
        ("sc-v1", FiringState.ASKED), ("sc-v2", FiringState.ASKED),
    ]  # fmt: skip


# ---------------------------------------------------------------- drills
def test_a_drill_restores_everything_from_the_store_measures_it_and_leaves_nothing(platform: Platform) -> None:
    """RS-13: the service goes on meanwhile, and is as it was."""
    tree = platform.service("dr-good")
    snapshot = platform.snapshot("dr-good")
    before = digest(tree)
    done = cli(platform, "drills", "run", "dr-good", "--goal", "1h", "--verify")
    assert done["outcome"] == "succeeded" and done["complete"]
    assert done["figures"]["snapshot_id"] == snapshot.snapshot_id
    assert done["figures"]["recovery_seconds"] > 0 and done["figures"]["bytes"] == snapshot.logical_bytes
    (drill,) = cli(platform, "drills", "list", "--service", "dr-good")["drills"]
    assert drill["passed"] and drill["within_goal"] and drill["operation_id"] == done["operation_id"]
    assert drill["recovery_seconds"] == done["figures"]["recovery_seconds"]
    assert digest(tree) == before
    staging = platform.apps("web-1") / ".backstay"
    eventually(lambda: not list(staging.iterdir()), what="the scratch tree is gone")
    found = platform.system.database.catalogue.get(snapshot.snapshot_id)
    assert found is not None and found.verified_level == "restore-test"


def test_a_drill_that_takes_longer_than_it_may_is_not_complete(platform: Platform, monkeypatch: Any) -> None:
    platform.service("dr-slow")
    platform.snapshot("dr-slow")
    monkeypatch.setattr("domain.drill.Drill.within_goal", property(lambda drill: False))
    operation = platform.run("restore-drill", {"goal_seconds": 1}, service="dr-slow")
    assert operation.state is State.SUCCEEDED and operation.outcome is not None
    assert not operation.outcome["complete"]
    assert [item["code"] for item in operation.outcome["items"]] == ["slower-than-goal"]


def test_a_drill_on_a_damaged_snapshot_fails_is_on_record_and_says_so_in_the_catalogue(platform: Platform) -> None:
    platform.service("dr-bad")
    snapshot = platform.snapshot("dr-bad")
    (file,) = [path for path in (platform.home / "store").rglob("*") if str(path).endswith(snapshot.packs[0])]
    whole = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(whole[:100] + bytes(byte ^ 0xFF for byte in whole[100:200]) + whole[200:])
    operation = platform.run("restore-drill", {}, service="dr-bad")
    assert operation.state is State.FAILED
    (drill,) = platform.system.database.drills.list(service_id="dr-bad")
    assert (drill.passed, drill.snapshot_id, drill.reason) == (False, snapshot.snapshot_id, operation.error_code)
    found = platform.system.database.catalogue.get(snapshot.snapshot_id)
    assert found is not None and found.state is SnapshotState.CORRUPT


def test_a_drill_of_a_service_without_snapshots_is_a_failed_one(platform: Platform) -> None:
    platform.service("dr-none")
    assert code(platform.run("restore-drill", {}, service="dr-none")) == (State.FAILED, "snapshot-not-found")
    (drill,) = platform.system.database.drills.list(service_id="dr-none")
    assert (drill.passed, drill.snapshot_id) == (False, "")


def test_a_drill_by_schedule_goes_to_the_node_that_it_names(platform: Platform) -> None:
    platform.service("dr-far")
    platform.snapshot("dr-far")
    data = {"kind": "restore-drill", "cron": "@hourly", "service": "dr-far", "data": {"node": "web-1"}}
    assert platform.run("set-schedule", data, service="dr-weekly").state is State.SUCCEEDED
    hours_ago(platform, "dr-weekly", 2)
    (operation,) = ended(platform, "dr-weekly", 1)
    assert figures(operation)["node"] == "web-1"
    newest = {drill.service_id: drill for drill in platform.system.database.drills.newest()}
    assert newest["dr-far"].op_id == operation.op_id


# ---------------------------------------------------------------- recovery points
def test_a_missed_goal_is_told_once_and_once_more_when_it_is_met(platform: Platform) -> None:
    platform.service("rp-web")
    cli(platform, "rpo", "set", "rp-web", "1h")
    listed = {one["service_id"]: one for one in cli(platform, "rpo", "list")["services"]}
    assert listed["rp-web"]["age_seconds"] is None and not listed["rp-web"]["missed"], "it has an hour from now"
    with platform.system.database._tx.write("test") as connection:
        connection.execute(text("UPDATE service SET rpo_since = 1 WHERE service_id = 'rp-web'"))

    def events(name: str) -> list[Any]:
        return _events(platform, f"rpo.{name}.acme")

    eventually(lambda: events("missed"), what="the miss was told")
    missed = cli(platform, "rpo", "list", "--missed", "--exit-code", code=1)["services"]
    assert [one["service_id"] for one in missed] == ["rp-web"]
    platform.snapshot("rp-web")
    eventually(lambda: events("met"), what="its end was told")
    assert len(events("missed")) == len(events("met")) == 1
    (event,) = events("met")
    assert event["data"]["service_id"] == "rp-web" and event["data"]["goal_seconds"] == 3600
    shown = cli(platform, "services", "show", "rp-web")
    assert shown["rpo"]["goal_seconds"] == 3600 and shown["rpo"]["age_seconds"] < 3600
    platform.run("register-service", {"node": "web-1", "alias": "again"}, service="rp-web")
    cli(platform, "rpo", "remove", "rp-web")
    listed = {one["service_id"]: one for one in cli(platform, "services", "list")["services"]}
    assert listed["rp-web"]["rpo"]["goal_seconds"] is None


def _events(platform: Platform, topic: str) -> list[Any]:
    with platform.system.database._tx.read() as connection:
        rows = connection.execute(text("SELECT payload FROM outbox WHERE topic = :topic"), {"topic": topic})
        return [json.loads(row.payload) for row in rows]
