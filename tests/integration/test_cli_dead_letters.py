"""What a person does with dead letters: look without seeing secrets, replay once, discard once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from domain.contracts import Rejected
from domain.errors import Refused
from domain.letters import LetterFilter
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


# ---------------------------------------------------------------- many
def bury_many(cli: CommandLine, *services: str, code: str = "refused") -> list[str]:
    """One operation that failed for each service; their letters, oldest first."""
    for number, service in enumerate(services):
        cli.accept(service=service, message_id=f"{service}-{number}")
        cli.system.database.ledger.settle(cli.claim(), Outcome.failed(Refused("no such thing here", code=code)))
    return [one.dead_letter_id for one in cli.system.database.letter_questions.candidates(LetterFilter(), 100)]


def end_all(cli: CommandLine, outcome: Outcome) -> None:
    for claim in cli.system.database.ledger.claim("n1", "n1|boot|ns|1|1", 100, 60_000):
        cli.system.database.ledger.settle(claim, outcome)


def test_groups_lead_to_a_plan_of_one_group(cli: CommandLine) -> None:
    bury_many(cli, "a", "b")
    bury_many(cli, "c", code="other")
    first, second = cli.run("dead-letters", "groups", "--json").document()["groups"]
    assert [(one["reason"], one["letters"], one["services"]) for one in (first, second)] == [
        ("refused", 2, 2), ("other", 1, 1),
    ]  # fmt: skip
    plan = cli.run("dead-letters", "plan", "--group", second["fingerprint"], "--json").document()
    assert [one["dead_letter_id"] for one in plan["letters"]] == [second["newest_id"]]
    listed = cli.run("dead-letters", "list", "--code", "refused", "--json").document()["dead_letters"]
    assert len(listed) == 2
    assert first["fingerprint"] in cli.run("dead-letters", "groups").out


def test_a_dry_run_says_how_many_and_how_long_and_changes_nothing(cli: CommandLine) -> None:
    bury_many(cli, "a", "b", "c")
    options = ("--tenant", "acme", "--canary", "1", "--rate", "2", "--dry-run", "--json")
    document = cli.run("dead-letters", "replay", *options).document()
    assert (document["would_replay"], document["seconds_at_this_rate"]) == (3, 30)
    assert cli.run("dead-letters", "replays", "--json").document()["replays"] == []


def test_a_replay_of_many_is_followed_stopped_and_shown(cli: CommandLine) -> None:
    letters = bury_many(cli, "a", "b", "c")
    begun = cli.run("dead-letters", "replay", "--code", "refused", "--canary", "1", "--json").document()
    assert (begun["state"], begun["going_on"], begun["waiting"]) == ("RUNNING", 1, 2)
    end_all(cli, Outcome.failed(Refused("still not", code="refused")))
    followed = cli.run("dead-letters", "replays", begun["replay_id"], "--wait", "--json")
    assert (followed.code, followed.document()["state"]) == (1, "STOPPED")
    assert letters[0] in followed.document()["why"]
    stopped = cli.run("dead-letters", "stop", begun["replay_id"], "--json").document()
    assert (stopped["stopped_now"], stopped["waiting"]) == (False, 2)
    assert "STOPPED" in cli.run("dead-letters", "replays").out


def test_following_a_replay_ends_when_all_its_operations_have(cli: CommandLine) -> None:
    bury_many(cli, "a", "b")
    begun = cli.run("dead-letters", "replay", "--code", "refused", "--json").document()
    waiting = cli.run("dead-letters", "replays", begun["replay_id"], "--wait", "--timeout", "0", "--json")
    assert (waiting.code, waiting.document()["going_on"]) == (14, 2)
    end_all(cli, Outcome.succeeded("done"))
    done = cli.run("dead-letters", "replays", begun["replay_id"], "--wait", "--json")
    assert (done.code, done.document()["state"], done.document()["succeeded"]) == (0, "DONE", 2)


def test_what_is_not_safe_is_left_out_of_many_and_refused_alone(cli: CommandLine) -> None:
    """A newer command has decided already: replaying the old one would undo it."""
    for number in range(2):
        cli.accept("set-retention", message_id=f"r{number}", policy={"last": number + 1})
        outcome = Outcome.failed(Refused("no", code="refused")) if number == 0 else Outcome.succeeded("done")
        cli.system.database.ledger.settle(cli.claim(), outcome)
    (letter,) = cli.run("dead-letters", "list", "--json").document()["dead_letters"]
    alone = cli.run("dead-letters", "replay", letter["dead_letter_id"], "--json")
    assert alone.document()["error"]["code"] == "not-safe"
    assert "--include superseded" in alone.document()["error"]["next_step"]
    many = cli.run("dead-letters", "replay", "--code", "refused", "--json").document()
    assert (many["would_replay"], many["verdicts"]["superseded"]) == (0, 1)
    insisted = cli.run("dead-letters", "replay", letter["dead_letter_id"], "--include", "superseded", "--json")
    assert insisted.document()["replayed_now"] is True


def test_neither_ids_nor_a_filter_replays_and_discards_nothing(cli: CommandLine) -> None:
    bury(cli)
    for command in (["replay"], ["discard", "--reason", "x"]):
        assert cli.run("dead-letters", *command).code == 2
    assert len(cli.run("dead-letters", "list", "--json").document()["dead_letters"]) == 1


def test_a_group_is_discarded_with_one_reason(cli: CommandLine) -> None:
    letters = bury_many(cli, "a", "b")
    document = cli.run("dead-letters", "discard", "--code", "refused", "--reason", "gone", "--json").document()
    assert document["discarded"] == letters
    entries = cli.run("audit", "list", "--action", "dead-letter.discard", "--json").document()["entries"]
    assert [entry["reason"] for entry in entries] == ["gone", "gone"]


# ---------------------------------------------------------------- whole, edited, handed on
def test_a_letter_is_shown_with_its_operation_and_what_to_do(cli: CommandLine) -> None:
    op_id, letter_id = bury(cli)
    document = cli.run("dead-letters", "show", letter_id, "--json").document()
    assert (document["operation"]["operation_id"], document["operation"]["state"]) == (op_id, "FAILED")
    assert (document["advice"]["verdict"], document["steps"]) == ("safe", [])
    assert "message" not in document
    assert "put the cause right" in cli.run("dead-letters", "show", letter_id).out


def test_a_message_is_shown_only_when_asked_for_and_that_it_was_is_audited(cli: CommandLine) -> None:
    letter_id = bury_raw(cli, b'{"password": "swordfish"}')
    binary = bury_raw(cli, b"\xff\xfe")
    assert cli.system.database.audit.list() == []
    assert cli.run("dead-letters", "show", letter_id, "--raw", "--json").document()["message"]["text"] == (
        '{"password": "swordfish"}'
    )
    assert cli.run("dead-letters", "show", binary, "--raw", "--json").document()["message"]["base64"] == "//4="
    assert [entry.action for entry in cli.system.database.audit.list()] == ["dead-letter.read-raw"] * 2


def test_an_edited_message_is_run_and_the_letter_keeps_the_original(cli: CommandLine) -> None:
    bad = bury_raw(cli, json.dumps(EVENT | {"data": {"labels": "owner"}}).encode())
    good = json.dumps(EVENT)
    assert cli.run("dead-letters", "edit", bad, "--data", good, "--dry-run", "--json").document()["resolution"] is None
    answer = cli.run("dead-letters", "edit", bad, "--data", good, "--reason", "labels is a list", "--json")
    document = answer.document()
    assert (document["replayed_now"], document["resolved_note"]) == (True, "edited: labels is a list")
    made = cli.run("operations", "show", document["replay_operation_id"], "--json").document()
    assert (made["message_id"], made["causation_id"]) == ("m9.e1", bad)
    again = cli.run("dead-letters", "edit", bad, "--data", good, "--json")
    assert again.document()["error"]["code"] == "already-resolved"


def test_an_edit_that_intake_would_refuse_names_the_field_and_changes_nothing(cli: CommandLine) -> None:
    _, letter_id = bury(cli)
    answer = cli.run("dead-letters", "edit", letter_id, "--data", '{"labels": "a"}')
    assert answer.code == 2 and "data.labels" in answer.err
    assert cli.run("dead-letters", "show", letter_id, "--json").document()["resolution"] is None


def test_an_editor_gets_the_message_and_what_it_leaves_is_run(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, letter_id = bury(cli)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf \'{"labels": ["edited:1"]}\' > "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    made = cli.run("dead-letters", "edit", letter_id, "--json").document()["replay_operation_id"]
    found = cli.system.database.ledger.get(made)
    assert found is not None and found.data == {"labels": ["edited:1"]}


def test_an_editor_that_changes_nothing_replays_nothing(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    _, letter_id = bury(cli)
    monkeypatch.setenv("VISUAL", "true")
    assert cli.run("dead-letters", "edit", letter_id).code == 2
    assert cli.run("dead-letters", "show", letter_id, "--json").document()["resolution"] is None


def test_letters_are_exported_whole_a_line_each_without_their_messages(cli: CommandLine) -> None:
    bury_many(cli, "a", "b")
    bury_raw(cli, b'{"password": "swordfish"}')
    answer = cli.run("dead-letters", "export")
    documents = [json.loads(line) for line in answer.out.splitlines()]
    assert len(documents) == 3 and "swordfish" not in answer.out
    assert cli.run("dead-letters", "export", "--json").document()["dead_letters"] == documents
    assert "swordfish" in cli.run("dead-letters", "export", "--raw").out
