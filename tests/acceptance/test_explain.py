"""`operations explain` for every kind of command: each operation that a platform makes is told in words, to its end."""

from __future__ import annotations

import ast

from domain.chronicle import chronicle
from domain.explain import story, summary
from domain.operation import Operation, State
from domain.step_words import has_words
from tests.acceptance.platform import SOURCE, Platform
from tests.architecture.source import ROOT

#: What a person must not read of an operation that has succeeded.
UNSETTLED = ("nobody knows", "a worker is at it", "not begun")


def told(platform: Platform, operation: Operation) -> list[str]:
    """Everything that the command would show."""
    database = platform.system.database
    steps = database.ledger.steps(operation.op_id)
    letters = database.find_dead_letters(SOURCE, operation.message_id)
    moments = [one.what for one in chronicle(operation, database.told(operation.op_id), letters)]
    lines = story(steps)
    assert all(has_words(step.kind) for step in steps), [step.kind for step in steps]
    return [*summary(operation, steps), *moments, *(f"{line.what}: {line.meaning}" for line in lines)]


def test_every_command_is_told_from_its_acceptance_to_who_was_told(platform: Platform) -> None:
    platform.service("ex-all")
    first, second = platform.snapshot("ex-all"), platform.snapshot("ex-all")
    done = [
        platform.run(kind, data, service="ex-all")
        for kind, data in (
            ("register-service", {"node": "web-1"}),
            ("create-snapshot", {}),
            ("verify-snapshot", {"snapshot_id": first.snapshot_id}),
            ("export-snapshot", {"snapshot_id": first.snapshot_id}),
            ("restore-snapshot", {"snapshot_id": first.snapshot_id}),
            ("pin-snapshot", {"snapshot_id": first.snapshot_id, "reason": "kept"}),
            ("delete-snapshot", {"snapshot_id": second.snapshot_id}),
            ("set-retention", {"policy": {"last": 1}}),
            ("apply-retention", {}),
            ("repack-service", {"below_percent": 99}),
            ("cancel-operation", {"operation_id": first.snapshot_id}),
        )
    ]
    for operation in done:
        lines = told(platform, operation)
        assert lines[0] == f"{operation.kind} of service ex-all is {operation.state}", lines
        assert any(line.startswith("accepted: message") for line in lines), lines
        assert any(line.startswith(f"ended, {operation.state}") for line in lines), lines
        assert any(operation.kind in line and "told as" in line for line in lines), lines
        assert operation.state is not State.SUCCEEDED or not [
            line for line in lines if any(words in line for words in UNSETTLED)
        ], lines


def test_a_failure_is_told_with_its_letter_and_its_next_step(platform: Platform) -> None:
    failed = platform.run("create-snapshot", {}, service="ex-nobody")
    lines = told(platform, failed)
    assert "reason code: unknown-service" in lines
    assert any(line.startswith("next: publish register-service") for line in lines)
    assert any(line.startswith("dead letter ") for line in lines)
    assert any(line.startswith("for the tenant: ") for line in lines)


def test_every_kind_of_step_that_the_code_begins_has_words() -> None:
    """Constant names given to the journal, in every module that writes it."""
    found = set()
    for folder in ("domain", "handlers"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("journal.begin"):
                    first = node.args[0]
                    if isinstance(first, ast.Constant):
                        found.add(str(first.value))
                    elif isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
                        found.add(str(first.values[0].value))
    assert {"staged", "mark-deleting", "give-up:"} <= found, "the calls were not found"
    assert not [kind for kind in found if not has_words(kind)]
