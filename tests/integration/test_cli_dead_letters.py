"""What a person does with dead letters: look without seeing secrets, replay once, discard once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.contracts import Rejected
from domain.errors import Refused
from domain.outcome import Outcome
from tests.command_line import CommandLine

EVENT = {
    "specversion": "1.0", "id": "m9", "source": "/t", "type": "backstay.create-snapshot.v1",
    "subject": "tenant/acme/service/web", "data": {"labels": ["owner:1"]},
}  # fmt: skip


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    made = CommandLine(tmp_path / "data", monkeypatch)
    made.system.database.migrate()
    return made


def bury(cli: CommandLine) -> tuple[str, str]:
    """An operation that failed and its dead letter."""
    op_id = cli.accept()
    cli.system.database.ledger.settle(cli.claim(), Outcome.failed(Refused("no such thing here", code="refused")))
    (letter,) = cli.system.database.dead_letters.list(resolved=False, limit=10, before=None)
    return op_id, letter.dead_letter_id


def bury_raw(cli: CommandLine, raw: bytes) -> str:
    (receipt,) = cli.system.database.inbox.accept([Rejected(raw, "invalid", "data.x: is not allowed", "/t", "m9")])
    assert receipt.dead_letter_id
    return receipt.dead_letter_id


def test_only_what_nobody_resolved_is_listed_unless_asked(cli: CommandLine) -> None:
    _, letter_id = bury(cli)
    (listed,) = cli.run("dead-letters", "list", "--json").document()["dead_letters"]
    assert (listed["dead_letter_id"], listed["reason"], listed["sentence"]) == (
        letter_id, "refused", "no such thing here",
    )  # fmt: skip
    assert cli.run("dead-letters", "discard", letter_id, "--reason", "known").code == 0
    assert cli.run("dead-letters", "list", "--json").document()["dead_letters"] == []
    (all_,) = cli.run("dead-letters", "list", "--all", "--json").document()["dead_letters"]
    assert (all_["resolution"], all_["resolved_note"]) == ("discarded", "known")


def test_a_raw_message_is_never_shown(cli: CommandLine) -> None:
    letter_id = bury_raw(cli, b'{"password": "swordfish"}')
    for form in ([], ["--json"]):
        answer = cli.run("dead-letters", "show", letter_id, *form)
        assert answer.code == 0
        assert "swordfish" not in answer.out + answer.err
    assert cli.run("dead-letters", "show", letter_id, "--json").document()["raw_bytes"] == 25


def test_a_replay_makes_a_new_operation_with_lineage(cli: CommandLine) -> None:
    op_id, letter_id = bury(cli)
    document = cli.run("dead-letters", "replay", letter_id, "--json").document()
    assert document["replayed_now"] is True
    made = cli.run("operations", "show", document["replay_operation_id"], "--json").document()
    assert (made["state"], made["causation_id"]) == ("QUEUED", op_id)


def test_a_second_replay_says_by_whom_and_into_what_and_changes_nothing(cli: CommandLine) -> None:
    _, letter_id = bury(cli)
    first = cli.run("dead-letters", "replay", letter_id, "--json").document()
    again = cli.run("dead-letters", "replay", letter_id)
    assert again.code == 0
    assert first["replay_operation_id"] in again.out
    assert first["resolved_by"] in again.out
    assert "nothing was changed" in again.out
    assert len(cli.run("operations", "list", "--json").document()["operations"]) == 2


def test_what_was_discarded_cannot_be_replayed(cli: CommandLine) -> None:
    _, letter_id = bury(cli)
    cli.run("dead-letters", "discard", letter_id, "--reason", "known")
    answer = cli.run("dead-letters", "replay", letter_id)
    assert answer.code == 1
    assert "had been discarded" in answer.err
    assert len(cli.run("operations", "list", "--json").document()["operations"]) == 1


def test_a_raw_message_is_judged_again_before_it_is_replayed(cli: CommandLine) -> None:
    good = bury_raw(cli, json.dumps(EVENT).encode())
    made = cli.run("dead-letters", "replay", good, "--json").document()["replay_operation_id"]
    shown = cli.run("operations", "show", made, "--json").document()
    assert (shown["kind"], shown["message_id"], shown["data_fields"]) == ("create-snapshot", "m9", ["labels"])


def test_a_raw_message_that_is_still_wrong_stays_a_dead_letter(cli: CommandLine) -> None:
    bad = bury_raw(cli, json.dumps(EVENT | {"data": {"labels": "owner"}}).encode())
    answer = cli.run("dead-letters", "replay", bad)
    assert answer.code == 2
    assert "data.labels" in answer.err
    assert cli.run("dead-letters", "show", bad, "--json").document()["resolution"] is None


def test_a_discard_needs_a_reason(cli: CommandLine) -> None:
    _, letter_id = bury(cli)
    assert cli.run("dead-letters", "discard", letter_id).code == 2
