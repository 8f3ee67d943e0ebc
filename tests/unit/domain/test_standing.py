"""The table of what may be done with a snapshot has an answer for every pair."""

from __future__ import annotations

from domain.snapshot import SnapshotState
from domain.standing import ANSWERS, Use


def test_every_use_is_answered_for_every_state_and_for_what_is_gone() -> None:
    """CN-20: a state or a use that is added has to be thought about."""
    assert set(ANSWERS) == set(Use)
    for use, cells in ANSWERS.items():
        assert set(cells) == {*SnapshotState, None}, use
