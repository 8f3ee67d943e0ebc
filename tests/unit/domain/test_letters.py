"""What replaying a letter would do, row by row; and which of many are tried first."""

from __future__ import annotations

from typing import Any

import pytest

from domain.letters import Candidate, Facts, Newer, Verdict, advise, canaries_first
from domain.operation import State


def _facts(kind: str = "upgrade-service", *newer: Newer, **more: Any) -> Facts:
    values: dict[str, Any] = {"reason": "broken", "op_id": "op-1", "op_state": State.FAILED}
    return Facts("letter", kind, service_id="web", newer=newer, **(values | more))


def _newer(kind: str = "upgrade-service", state: State = State.SUCCEEDED, *, same: bool = False) -> Newer:
    return Newer("op-2", kind, state, same)


@pytest.mark.parametrize(
    ("facts", "verdict", "word"),
    [
        (_facts(), Verdict.SAFE, "nothing newer"),
        (_facts("create-snapshot", _newer("create-snapshot")), Verdict.SAFE, "nothing newer"),
        (_facts("create-snapshot", _newer("create-snapshot", same=True)), Verdict.APPLIED, "did the same"),
        (_facts("upgrade-service", _newer(state=State.RUNNING, same=True)), Verdict.APPLIED, "is doing the same"),
        (_facts("upgrade-service", _newer(state=State.FAILED, same=True)), Verdict.SUPERSEDED, "is newer"),
        (_facts("upgrade-service", _newer()), Verdict.SUPERSEDED, "op-2"),
        (_facts("upgrade-service", _newer(state=State.FAILED)), Verdict.SUPERSEDED, "op-2"),
        (_facts("upgrade-service", _newer(state=State.CANCELLED)), Verdict.SAFE, "nothing newer"),
        (_facts("upgrade-service", _newer("rollback")), Verdict.SUPERSEDED, "rollback"),
        (_facts("upgrade-service", _newer("rollback", State.FAILED)), Verdict.SAFE, "nothing newer"),
        (_facts("upgrade-service", _newer("create-snapshot")), Verdict.SAFE, "nothing newer"),
        (_facts("set-retention", _newer("set-retention")), Verdict.SUPERSEDED, "is newer"),
        (_facts("restore-snapshot"), Verdict.DANGEROUS, "takes away"),
        (_facts("restore-snapshot", _newer("upgrade-service")), Verdict.SUPERSEDED, "is newer"),
        (_facts("create-snapshot", op_state=State.STUCK), Verdict.DANGEROUS, "resolve it"),
        (_facts("create-snapshot", op_id=None, op_state=None, reason="key-reused"), Verdict.DANGEROUS, "its key"),
    ],
)
def test_what_replaying_would_do_follows_from_what_came_later(facts: Facts, verdict: Verdict, word: str) -> None:
    advice = advise(facts)
    assert advice.verdict is verdict
    assert word in advice.why


def test_what_would_be_refused_again_is_impossible_whatever_came_later() -> None:
    advice = advise(_facts("create-snapshot", _newer("create-snapshot", same=True)), "labels: must be a list")
    assert advice.verdict is Verdict.IMPOSSIBLE and "labels: must be a list" in advice.why


def _letters(*rows: tuple[str, str, str | None]) -> list[Candidate]:
    return [Candidate(*row) for row in rows]


def test_canaries_come_from_as_many_causes_as_there_are() -> None:
    letters = _letters(("1", "a", "s1"), ("2", "a", "s2"), ("3", "b", "s3"), ("4", "c", "s4"), ("5", "b", "s5"))
    assert canaries_first(letters, 3) == ["1", "3", "4", "2", "5"]
    assert canaries_first(letters, 4) == ["1", "3", "4", "2", "5"]
    assert canaries_first(letters, 0) == ["1", "2", "3", "4", "5"]


def test_no_letter_is_tried_before_an_older_one_of_its_service() -> None:
    """First in, first out per service holds for replays too."""
    letters = _letters(("1", "a", "s1"), ("2", "b", "s1"), ("3", "b", "s2"))
    assert canaries_first(letters, 2) == ["1", "3", "2"]


def test_letters_of_one_service_give_one_canary() -> None:
    letters = _letters(("1", "a", "s1"), ("2", "b", "s1"), ("3", "c", "s1"))
    assert canaries_first(letters, 3) == ["1", "2", "3"]


def test_messages_without_a_readable_subject_are_nobodys_successor() -> None:
    letters = _letters(("1", "a", None), ("2", "b", None))
    assert canaries_first(letters, 2) == ["1", "2"]
