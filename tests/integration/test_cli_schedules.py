"""What the command line says of schedules, recovery points and drills, to people and to programs."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from domain.drill import Drill
from domain.outcome import Change, Outcome, SaveService
from domain.schedule import Pause, Schedule
from domain.schedule_changes import PauseSchedule, SaveDrill, SaveSchedule
from domain.service import Service
from tests.command_line import CommandLine
from workers.clock import SystemClock

HOUR = 3_600_000
_numbers = itertools.count(1)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    made = CommandLine(tmp_path / "data", monkeypatch)
    assert made.run("migrate").code == 0
    return made


def now() -> int:
    return SystemClock().wall_ms()


def make(cli: CommandLine, *changes: Change) -> None:
    for change in changes:
        number = next(_numbers)
        cli.accept(service=f"desk-{number}", message_id=f"m{number}")
        cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("done", changes=(change,)))


def schedule(name: str = "nightly", **more: Any) -> SaveSchedule:
    values: dict[str, Any] = {"service_id": "web", "next_at": now() + HOUR}
    return SaveSchedule(Schedule("acme", name, "create-snapshot", "30 2 * * *", **(values | more)))


def test_lists_say_what_to_do_when_they_are_empty(cli: CommandLine) -> None:
    assert "schedules set" in cli.run("schedules", "list").out
    assert "drills run" in cli.run("drills", "list").out


def test_a_list_of_schedules_tells_why_one_rests(cli: CommandLine) -> None:
    make(cli, schedule(), schedule("all", service_id=""), PauseSchedule("acme", "all", Pause("a move", "/cli/anna", 1)))
    lines = cli.run("schedules", "list").out.splitlines()
    assert "(all)" in lines[1] and lines[1].endswith("paused: a move")
    shown = cli.run("schedules", "show", "nightly").out
    assert "no node runs one" in shown and "no time of it has come yet" in shown
    assert cli.run("schedules", "show", "all", "--json").document()["paused"]["reason"] == "a move"


def test_a_name_that_two_tenants_have_needs_the_tenant(cli: CommandLine) -> None:
    make(cli, schedule(), SaveSchedule(Schedule("other", "nightly", "create-snapshot", "@daily", next_at=now() + HOUR)))
    refused = cli.run("schedules", "show", "nightly", "--json")
    assert refused.code == 2 and "--tenant" in refused.document()["error"]["sentence"]
    assert cli.run("schedules", "show", "nightly", "--tenant", "other", "--json").document()["tenant_id"] == "other"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--cron", "@daily"), "--service or --tenant"),
        (("--cron", "61 * * * *", "--tenant", "acme"), "cron"),
        (("--cron", "@daily", "--zone", "Nowhere", "--tenant", "acme"), "zone"),
        (("--cron", "@daily", "--jitter", "soon", "--tenant", "acme"), "jitter"),
        (("--cron", "@daily", "--kind", "upgrade-service", "--tenant", "acme"), "kind"),
    ],
)
def test_a_wrong_schedule_is_refused_before_anything_is_sent(
    cli: CommandLine, arguments: tuple[str, ...], word: str
) -> None:
    refused = cli.run("schedules", "set", "nightly", *arguments, "--json")
    assert refused.code == 2
    assert word in refused.document()["error"]["sentence"]
    assert not (cli.data_dir / "spool").exists() or not list((cli.data_dir / "spool").rglob("new/*"))


def test_services_are_listed_with_what_would_be_lost(cli: CommandLine) -> None:
    late = Service("web", "acme", "Web", "web", rpo_seconds=3600, rpo_since=now() - 2 * HOUR)
    make(cli, SaveService(late), SaveService(Service("db", "acme", "Db", "db")))
    lines = cli.run("services", "list").out.splitlines()
    assert lines[2].split()[-4:] == ["never", "1", "h", "missed"]
    assert cli.run("rpo", "list", "--missed", "--exit-code").code == 1
    assert cli.run("rpo", "list", "--tenant", "other", "--exit-code").code == 0


def test_drills_are_listed_with_their_time(cli: CommandLine) -> None:
    passed = Drill("d1", "acme", "web", "s1", "n1", passed=True, recovery_ms=61_500, goal_seconds=60)
    make(cli, SaveDrill(passed), SaveDrill(Drill("d2", "acme", "db", "", "n1", passed=False, reason="no-room")))
    lines = cli.run("drills", "list").out
    assert "61.5 s, slower than its goal" in lines and "failed: no-room" in lines
