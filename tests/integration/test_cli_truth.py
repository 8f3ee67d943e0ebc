"""What the command line says is so: of a damaged snapshot, a ring of other keys, a place that cannot be used."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

import workers.__main__
import workers.border
import workers.cli.app
from domain.errors import DatabaseUnavailable
from domain.outcome import AddSnapshot, Change, MarkCorrupt, Outcome
from domain.snapshot import Consistency, Snapshot, SnapshotState
from tests.command_line import CommandLine
from workers.cli.screen import Screen

OTHER_KEY = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path, monkeypatch)
    line.system.database.migrate()
    yield line
    line.system.close()


def settled(cli: CommandLine, message_id: str, *changes: Change) -> None:
    cli.accept(message_id=message_id)
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("done", changes=changes))


def snapshot(snapshot_id: str, consistency: Consistency) -> Snapshot:
    return Snapshot(
        snapshot_id, "acme", "web", SnapshotState.AVAILABLE, 1_000, f"{snapshot_id}/manifest", "aa", 1, 1, 1,
        consistency, ("data",),
    )  # fmt: skip


def row(cli: CommandLine, snapshot_id: str) -> str:
    return next(line for line in cli.run("snapshots", "list").out.splitlines() if line.startswith(snapshot_id))


# ---------------------------------------------------------------- snapshots
def test_a_snapshot_that_was_found_damaged_does_not_look_like_a_good_one(cli: CommandLine) -> None:
    settled(cli, "m1", AddSnapshot(snapshot("good", Consistency.STABLE)))
    settled(cli, "m2", AddSnapshot(snapshot("spoilt", Consistency.STABLE)))
    settled(cli, "m3", MarkCorrupt("spoilt", ""))
    assert "available" in row(cli, "good")
    assert "corrupt" in row(cli, "spoilt")
    assert "available" not in row(cli, "spoilt")


def test_a_snapshot_with_files_left_out_says_so_in_the_list(cli: CommandLine) -> None:
    settled(cli, "m1", AddSnapshot(snapshot("some", Consistency.PARTIAL)))
    assert "available, partial" in row(cli, "some")


@pytest.mark.parametrize(
    ("arguments", "subject"),
    [
        (["create", "--subject", "tenant/other/service/new"], "tenant/other/service/new"),
        (["restore", "s1"], "tenant/acme/service/web"),
        (["restore", "s1", "--subject", "tenant/acme/service/copy"], "tenant/acme/service/copy"),
    ],
)
def test_a_snapshot_command_is_about_whom_was_named(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, arguments: list[str], subject: str
) -> None:
    """By default the service that the snapshot is of; a subject is taken as it is."""
    settled(cli, "m1", AddSnapshot(snapshot("s1", Consistency.STABLE)))
    published: list[str] = []
    monkeypatch.setattr(
        "workers.cli.following.send_and_follow", lambda here, event, timeout: published.append(event["subject"])
    )
    assert cli.run("snapshots", *arguments).code == 0
    assert published == [subject]


@pytest.mark.parametrize("options", [[], ["--service", "web", "--subject", "tenant/acme/service/web"]])
def test_creating_a_snapshot_needs_one_service_or_one_subject(cli: CommandLine, options: list[str]) -> None:
    answer = cli.run("snapshots", "create", *options)
    assert answer.code == 2
    assert "either --service or --subject" in answer.err


# ---------------------------------------------------------------- keys
def verdicts(cli: CommandLine) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in cli.run("doctor", "--json").document()["checks"]}


@pytest.mark.parametrize("key_id", ["another", "k1"])
def test_doctor_tells_a_ring_that_does_not_open_what_the_database_holds(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, key_id: str
) -> None:
    """Such a ring is in order by itself, even under the right name; every queued operation would fail with it."""
    cli.accept()
    assert verdicts(cli)["sealed data"] == "ok"
    monkeypatch.setenv("BACKSTAY_SECRET_KEYS", f"{key_id}:{OTHER_KEY}")
    assert verdicts(cli)["keys"] == "ok"
    assert verdicts(cli)["sealed data"] == "fail"
    assert cli.run("doctor").code == 1


# ---------------------------------------------------------------- publishing into the unknown
def test_an_unconfirmed_message_can_be_repeated_under_its_own_key(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker may have it: whoever tries again must be able to name it, or it is done twice."""
    monkeypatch.setenv("BROKER_URL", "amqp://guest:guest@127.0.0.1:1//")
    monkeypatch.setattr(workers.border, "PUBLISH_SECONDS", 0.1)
    answer = cli.run("publish", "create-snapshot", "--subject", "tenant/acme/service/web", "--source", "/s", "--json")
    assert answer.code == 75
    assert re.search(r"--id [0-9a-f-]{36} --source /s", answer.document()["error"]["next_step"])


def test_a_database_that_goes_away_while_waiting_leaves_the_outcome_unknown(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never 75, which reads as "not sent": the command has been accepted and goes on."""
    op_id = cli.accept(kind="create-snapshot", message_id="m1")

    def away(*_: object) -> str:
        raise DatabaseUnavailable("connection refused")

    monkeypatch.setattr(type(cli.system.database), "waits_for", away)
    command = ["publish", "create-snapshot", "--subject", "tenant/acme/service/web", "--id", "m1", "--source", "/test"]
    answer = cli.run(*command, "--wait", "--timeout", "0.1", "--json")
    assert answer.code == 14
    assert (answer.document()["error"]["code"], answer.document()["operation_id"]) == ("unknown-outcome", op_id)


# ---------------------------------------------------------------- cancelling
def test_a_cancel_is_audited_with_who_asked_and_only_where_it_does_something(cli: CommandLine) -> None:
    op_id = cli.accept()
    for _ in range(2):
        cli.run("operations", "cancel", op_id)
    (entry,) = cli.run("audit", "list", "--json").document()["entries"]
    assert (entry["action"], entry["subject"], entry["detail"]) == (
        "operation.cancel", f"operation/{op_id}", {"was": "QUEUED"},
    )  # fmt: skip
    assert "@" in entry["actor"]


def test_a_cancel_that_comes_too_late_is_an_error_in_the_document_too(cli: CommandLine) -> None:
    op_id = cli.accept()
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("done"))
    answer = cli.run("operations", "cancel", op_id, "--json")
    document = answer.document()
    assert answer.code == 12
    assert (document["error"]["code"], document["state"]) == ("already-ended", "SUCCEEDED")
    assert cli.system.database.audit.list() == []


# ---------------------------------------------------------------- places
@pytest.mark.parametrize("command", [["migrate"], ["migrate", "--json"], ["serve"], ["worker"], ["web"]])
def test_a_data_directory_that_cannot_be_used_is_a_sentence(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    gone = tmp_path / "unmounted"
    gone.symlink_to(tmp_path / "nowhere")
    monkeypatch.setenv("BACKSTAY_DATA_DIR", str(gone))
    answer = cli.run(*command)
    assert answer.code == 1
    assert f"cannot use {gone}" in answer.err
    assert "next: " in answer.err
    assert "--json" not in command or answer.document()["error"]["code"] == "not-usable"


# ---------------------------------------------------------------- screens and signals
def test_an_id_stays_in_one_piece_on_a_narrow_terminal() -> None:
    op_id = "01a1faae-c092-749f-80b5-4c0d75c1a510"
    screen, shown = Screen(as_json=False), io.StringIO()
    screen.out = Console(file=shown, force_terminal=True, width=80, highlight=False)
    screen.table(("ID", "TYPE", "OUTCOME"), [(op_id, "restore-snapshot", "a long sentence " * 10)], "")
    assert op_id in shown.getvalue()


def test_ctrl_c_before_a_command_began_is_130_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workers.cli.app, "build", interrupted)
    with pytest.raises(SystemExit) as ended:
        workers.__main__.main()
    assert ended.value.code == 130
