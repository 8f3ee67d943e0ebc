"""The ports of replaying: what is known about letters, and replays of many as rows that any node carries on.

Apart from the dead letters themselves, which are about one at a time.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from domain.audit import Actor
from domain.letters import Candidate, Facts, LetterFilter, LetterGroup
from domain.replay import Replay, ReplayItem


class LetterQuestions(Protocol):
    """What people ask about unresolved letters. Nothing is opened and nothing changes."""

    def groups(self, wanted: LetterFilter) -> list[LetterGroup]:
        """By cause, the one with most letters first."""

    def candidates(self, wanted: LetterFilter, limit: int, among: Sequence[str] | None = None) -> list[Candidate]:
        """Those that match, oldest first; `among`: only of these."""

    def facts(self, dead_letter_ids: Sequence[str], hashes: Mapping[str, str]) -> list[Facts]:
        """What is known about each, in the order given; unknown and resolved ones are left out. `hashes`: what
        messages that were never accepted ask for, by letter."""


class Replays(Protocol):
    """Replays of many letters. The list is frozen when it is made; each letter is replayed once, whoever does it."""

    def create(
        self,
        by: Actor,
        dead_letter_ids: Sequence[str],
        *,
        canary: int,
        per_minute: int,
        reason: str,
        selection: Mapping[str, Any],
    ) -> Replay:
        """Freeze the list; nothing is replayed yet. `selection` says how it was chosen, for the audit trail."""

    def get(self, replay_id: str) -> Replay | None:
        """One of them."""

    def items(self, replay_id: str) -> builtins.list[ReplayItem]:
        """Its letters, in the order of their replay."""

    def list(self, limit: int, before: str | None = None, by: Sequence[Actor] | None = None) -> builtins.list[Replay]:
        """Newest first, behind the id `before`; `by`: only what one of these has begun."""

    def running(self) -> builtins.list[str]:
        """Ids of those that are to be carried on, oldest first."""

    def due(self, replay_id: str) -> builtins.list[ReplayItem]:
        """Letters to be replayed now; ends the replay when it is at its end, or a canary did not succeed."""

    def skip(self, replay_id: str, ordinal: int, why: str) -> None:
        """Leave a letter out that still waits."""

    def stop(self, replay_id: str, by: Actor, reason: str) -> bool:
        """What waits stays a dead letter; False when it had ended already."""
