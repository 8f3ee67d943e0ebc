"""Publishing from the command line: what is sent, what is refused before it is sent, and how waiting ends.

No worker runs here, so that every moment of waiting can be arranged; `test_cli_end_to_end` has one.
"""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from domain.contracts import Accepted, Rejected
from domain.message import Envelope
from domain.outcome import Outcome
from handlers import subscriptions
from tests.command_line import CommandLine, finished, program
from tests.waiting import eventually
from workers.judge import judge_with

SUBJECT = ("--subject", "tenant/acme/service/web")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    return CommandLine(tmp_path / "data", monkeypatch)


def spooled(cli: CommandLine) -> list[Path]:
    """Messages that wait in the embedded broker."""
    return [path for path in (cli.data_dir / "spool").rglob("*") if path.is_file() and path.parent.name == "new"]


def event_in(path: Path) -> dict[str, Any]:
    """The CloudEvent in a spooled message."""
    found = json.loads(path.read_bytes())
    assert isinstance(found, dict)
    return found


def take_in(cli: CommandLine, **changes: Any) -> None:
    """Accept the only spooled message, as intake would."""
    (path,) = spooled(cli)
    event = event_in(path) | changes
    cli.system.database.inbox.accept([judge_with(subscriptions())(Envelope(json.dumps(event).encode()))])


# ---------------------------------------------------------------- without waiting
def test_publishing_needs_no_database_and_answers_with_the_message(cli: CommandLine) -> None:
    answer = cli.run("publish", "create-snapshot", *SUBJECT, "--id", "m1", "--source", "/s", "--json")
    assert answer.code == 0
    assert answer.document() == {"message_id": "m1", "source": "/s", "published": True}
    assert not (cli.data_dir / "backstay.db").exists()
    (path,) = spooled(cli)
    event = event_in(path)
    assert (event["id"], event["source"], event["type"], event["data"]) == (
        "m1",
        "/s",
        "backstay.create-snapshot.v1",
        {},
    )


def test_people_are_told_how_to_follow_what_they_published(cli: CommandLine) -> None:
    answer = cli.run("publish", "backstay.create-snapshot.v1", *SUBJECT, "--id", "m1")
    assert "m1" in answer.out
    assert "backstay operations list" in answer.out


def test_the_payload_may_come_from_a_pipe(cli: CommandLine) -> None:
    answer = cli.run("publish", "create-snapshot", *SUBJECT, "--data", "-", stdin='{"labels": ["owner:1"]}')
    assert answer.code == 0
    assert event_in(spooled(cli)[0])["data"] == {"labels": ["owner:1"]}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["create-snapshot", *SUBJECT, "--data", '{"labels": ["x"]}'], "data.labels.0"),
        (["create-snapshot", *SUBJECT, "--data", "{"], "data"),
        (["creat-snapshot", *SUBJECT], "type"),
        (["create-snapshot", "--subject", "web"], "subject"),
        (["create-snapshot", *SUBJECT, "--id", "x" * 300], "id"),
    ],
)
@pytest.mark.parametrize("wait", [[], ["--wait"]])
def test_a_mistake_is_code_2_names_the_field_and_sends_nothing(
    cli: CommandLine, arguments: list[str], named: str, wait: list[str]
) -> None:
    answer = cli.run("publish", *arguments, *wait, "--json")
    assert answer.code == 2
    assert answer.err.startswith(f"error: {named}")
    assert answer.document()["error"]["sentence"].startswith(named)
    assert not spooled(cli)


def test_a_missing_subject_is_a_usage_error(cli: CommandLine) -> None:
    assert cli.run("publish", "create-snapshot").code == 2


def test_a_broker_that_is_away_is_code_75(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_URL", "amqp://guest:swordfish@127.0.0.1:9//")
    monkeypatch.setattr("workers.border.PUBLISH_SECONDS", 0.1)
    answer = cli.run("publish", "create-snapshot", *SUBJECT)
    assert answer.code == 75
    assert "check BROKER_URL" in answer.err
    assert "swordfish" not in answer.err


# ---------------------------------------------------------------- waiting
def test_waiting_without_a_schema_says_so_and_sends_nothing(cli: CommandLine) -> None:
    answer = cli.run("publish", "create-snapshot", *SUBJECT, "--wait", "--json")
    assert answer.code == 75
    assert answer.document()["error"]["code"] == "schema-not-ready"
    assert not spooled(cli)


def test_giving_up_before_anybody_accepted_is_an_unknown_outcome(cli: CommandLine) -> None:
    cli.system.database.migrate()
    answer = cli.run("publish", "create-snapshot", *SUBJECT, "--id", "m1", "--wait", "--timeout", "0.1", "--json")
    assert answer.code == 14
    assert answer.document()["message_id"] == "m1"
    assert answer.document()["error"]["code"] == "unknown-outcome"


def test_giving_up_on_an_operation_says_what_it_waits_for(cli: CommandLine) -> None:
    cli.system.database.migrate()
    arguments = ["publish", "create-snapshot", *SUBJECT, "--id", "m1", "--source", "/s"]
    cli.run(*arguments)
    take_in(cli)
    answer = cli.run(*arguments, "--wait", "--timeout", "0.1", "--json")
    document = answer.document()
    assert (answer.code, document["state"], document["outcome"]) == (14, "QUEUED", None)
    assert "free worker" in document["waits_for"]
    assert f"backstay operations watch {document['operation_id']}" in answer.err


def test_a_key_that_was_used_for_something_else_never_answers_with_that(cli: CommandLine) -> None:
    """The first operation under the key is somebody else's; only a dead letter, or nothing, is ours."""
    cli.system.database.migrate()
    arguments = ["publish", "create-snapshot", *SUBJECT, "--id", "m1", "--source", "/s"]
    cli.run(*arguments)
    take_in(cli)
    answer = cli.run(*arguments, "--data", '{"labels": ["a:b"]}', "--wait", "--timeout", "0.1", "--json")
    assert answer.code == 14
    assert "operation_id" not in answer.document()


def test_a_message_that_becomes_a_dead_letter_ends_the_wait(cli: CommandLine) -> None:
    cli.system.database.migrate()
    arguments = ["publish", "create-snapshot", *SUBJECT, "--id", "m1", "--source", "/s"]
    waiting = program([*arguments, "--wait", "--json"], cli.environment)
    eventually(lambda: spooled(cli), what="the message is in the spool")
    rejected = Rejected(b"{}", "invalid", "data.x: is not allowed by the intake of another version", "/s", "m1")
    cli.system.database.inbox.accept([rejected])
    answer = finished(waiting)
    assert answer.code == 1
    document = answer.document()
    assert document["error"]["code"] == "invalid"
    assert document["dead_letter"]["dead_letter_id"] in answer.err


def test_an_old_dead_letter_under_the_same_key_does_not_end_the_wait(cli: CommandLine) -> None:
    cli.system.database.migrate()
    cli.system.database.inbox.accept([Rejected(b"{}", "invalid", "data.x: is not allowed", "/s", "m1")])
    answer = cli.run(
        "publish", "create-snapshot", *SUBJECT, "--id", "m1", "--source", "/s", "--wait", "--timeout", "0.1"
    )
    assert answer.code == 14


def test_ctrl_c_detaches_and_says_how_to_go_on(cli: CommandLine) -> None:
    cli.system.database.migrate()
    outer, inner = os.openpty()
    environment = cli.environment | {"TERM": "xterm", "COLUMNS": "200"}
    waiting = program(["publish", "create-snapshot", *SUBJECT, "--source", "/s", "--wait"], environment, stderr=inner)
    os.close(inner)
    eventually(lambda: spooled(cli), what="the message is in the spool")
    take_in(cli)
    shown = b""
    while b"QUEUED" not in shown:  # before that it may not know yet what became of the message
        shown += os.read(outer, 4096)
    waiting.send_signal(signal.SIGINT)
    with suppress(OSError):  # how Linux says that nobody holds the other end any more
        while chunk := os.read(outer, 4096):
            shown += chunk
    os.close(outer)
    assert finished(waiting).code == 130
    assert b"what was published goes on" in shown
    assert b"backstay operations" in shown
    (operation,) = cli.system.database.list_operations()
    assert operation.state == "QUEUED"


# ---------------------------------------------------------------- watching
def test_watching_one_operation_ends_when_it_does(cli: CommandLine, tmp_path: Path) -> None:
    cli.system.database.migrate()
    op_id = cli.accept()
    with open(tmp_path / "notes", "w") as notes:
        watching = program(["operations", "watch", op_id, "--json"], cli.environment, stderr=notes)
    eventually(lambda: "QUEUED: waits for" in (tmp_path / "notes").read_text(), what="it is being watched")
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("done"))
    answer = finished(watching)
    assert (answer.code, answer.document()["sentence"]) == (0, "done")


def test_ctrl_c_while_watching_says_how_to_watch_again(cli: CommandLine, tmp_path: Path) -> None:
    cli.system.database.migrate()
    op_id = cli.accept()
    with open(tmp_path / "notes", "w") as notes:
        watching = program(["operations", "watch", op_id], cli.environment, stderr=notes)
    eventually(lambda: "QUEUED: waits for" in (tmp_path / "notes").read_text(), what="it is being watched")
    watching.send_signal(signal.SIGINT)
    assert finished(watching).code == 130
    assert f"backstay operations watch {op_id}" in (tmp_path / "notes").read_text()
    (operation,) = cli.system.database.list_operations()
    assert not operation.cancel_requested


def test_watching_everything_tells_each_change_until_ctrl_c(cli: CommandLine, tmp_path: Path) -> None:
    cli.system.database.migrate()
    op_id = cli.accept()

    def told() -> list[str]:
        lines = (tmp_path / "lines").read_text().splitlines()
        return [line.split("  ")[3] for line in lines if line.startswith(op_id)]

    with open(tmp_path / "lines", "w") as lines:
        watching = program(["operations", "watch"], cli.environment, stdout=lines)
    eventually(lambda: told() == ["QUEUED"], 90, "what is queued was told")
    claim = cli.claim()
    eventually(lambda: told() == ["QUEUED", "RUNNING"], 90, "that it runs was told")
    cli.system.database.ledger.settle(claim, Outcome.succeeded("done"))
    eventually(lambda: told() == ["QUEUED", "RUNNING", "SUCCEEDED"], 90, "its end was told")
    watching.send_signal(signal.SIGINT)
    assert finished(watching).code == 130


def test_the_judge_of_publish_is_that_of_intake() -> None:
    """What `publish` lets through is accepted: it asks the very function that intake asks."""
    from workers.cli import sending

    event = sending.cloud_event("create-snapshot", SUBJECT[1], {}, "m1", "/s")
    verdict = judge_with(subscriptions())(Envelope(json.dumps(event).encode()))
    assert isinstance(verdict, Accepted)
    assert verdict.command == sending.judged(event)
