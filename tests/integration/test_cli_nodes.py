"""`backstay nodes`, on a real database: what a person sees of nodes, and takes out of work."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.audit import Actor
from domain.contracts import Accepted
from domain.decoding import request_hash
from domain.identity import Subject
from domain.message import Command
from domain.node import Disk, NodeReport
from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.command_line import CommandLine

ROOT = Actor("root@ops", "cli")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    made = CommandLine(tmp_path / "data", monkeypatch)
    assert made.run("migrate").code == 0
    report = NodeReport(1, 4, {"create-snapshot": 2}, {}, {"apps": Disk("/srv/apps", 7_000_000_000, 9_000_000_000)})
    made.system.database.nodes.beat("n1", "boot", "1.0", report)
    return made


def test_the_list_says_how_a_node_stands_and_what_it_does(cli: CommandLine) -> None:
    cli.accept()
    cli.claim()
    (node,) = cli.run("nodes", "list", "--json").document()["nodes"]
    assert (node["standing"], node["running"], node["disks"]["apps"]["free_bytes"]) == ("ready", 1, 7_000_000_000)
    assert "7.0 GB of 9.0 GB" in cli.run("nodes", "list").out


def test_the_fields_of_a_node_are_those_that_are_documented(cli: CommandLine) -> None:
    document = cli.run("nodes", "show", "n1", "--json").document()
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    assert [name for name in document if f"`{name}`" not in page] == []


def test_a_drain_says_what_is_left_to_end_and_undrain_takes_it_back(cli: CommandLine) -> None:
    op_id = cli.accept()
    cli.claim()
    answer = cli.run("nodes", "drain", "n1", "--reason", "new disk")
    assert (answer.code, "ends 1 that it has begun" in answer.out) == (0, True)
    assert cli.run("nodes", "drain", "n1", "--wait", "--timeout", "0").code == 14
    shown = cli.run("nodes", "show", "n1")
    assert "new disk" in shown.out and op_id in shown.out
    assert cli.run("nodes", "undrain", "n1", "--json").document()["standing"] == "ready"


def test_a_node_that_runs_nothing_is_drained_at_once(cli: CommandLine) -> None:
    answer = cli.run("nodes", "drain", "n1", "--wait")
    assert (answer.code, "its worker can be stopped" in answer.out) == (0, True)


def test_a_living_node_is_not_forgotten_and_an_unknown_one_not_found(cli: CommandLine) -> None:
    alive = cli.run("nodes", "forget", "n1", "--json")
    assert (alive.code, alive.document()["error"]["code"]) == (11, "busy")
    assert "stop its worker first" in alive.err
    unknown = cli.run("nodes", "show", "n7", "--json")
    assert (unknown.code, unknown.document()["error"]["code"]) == (10, "unknown-node")


# ---------------------------------------------------------------- operations that are bound to a lost node
def _bound(cli: CommandLine) -> str:
    """A command for the service `web`, which lives on n9, a drained node that has ended its work."""
    database = cli.system.database
    cli.accept("register-service", "web", "register")
    saved = Service("web", "acme", "web", "web", node="n9")
    database.ledger.settle(cli.claim(), Outcome.succeeded("registered", changes=(SaveService(saved),)))
    database.nodes.beat("n9", "boot", "1")
    database.nodes.drain("n9", ROOT, "burnt")
    command = Command("/test", "bound", "create-snapshot", 1, Subject("acme", "web"), {})
    (receipt,) = database.inbox.accept([Accepted(command, request_hash(command), exclusive=True, local=True)])
    assert receipt.op_id is not None
    return receipt.op_id


def test_an_operation_says_that_its_node_is_lost_and_moves_when_that_is_meant(cli: CommandLine) -> None:
    op_id = _bound(cli)
    waits = cli.run("operations", "show", op_id, "--json").document()["waits_for"]
    assert "root@ops has drained (burnt)" in waits and f"backstay operations move {op_id} --to" in waits
    asked = cli.run("operations", "move", op_id, "--to", "n1", stdin="n\n")
    assert asked.code == 2 and "Nothing is copied" in asked.err
    unasked = cli.run("operations", "move", op_id, "--to", "n1", "--json")
    assert (unasked.code, unasked.document()["error"]["code"]) == (2, "usage"), "a program is not asked, and is told"
    moved = cli.run("operations", "move", op_id, "--to", "n1", "--yes", "--json").document()
    assert (moved["node"], moved["moved_services"]) == ("n1", ["web"])


def test_what_cannot_be_moved_or_given_up_says_what_to_do_instead(cli: CommandLine) -> None:
    op_id = _bound(cli)
    away = cli.run("operations", "move", op_id, "--to", "n8", "--yes")
    assert away.code == 10 and "next: `backstay nodes list`" in away.err
    alive = cli.run("operations", "give-up", op_id, "--yes")
    assert alive.code == 1 and f"`backstay operations cancel {op_id}`" in alive.err
