"""What to do with dead letters: which are meant, what replaying each would do, and which are tried first. Pure.

Apart from their port because these are decisions, made the same for the command line, the API and the console. A
verdict rests on what the ledger knows; where it knows too little, the answer is the careful one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from domain.operation import TERMINAL, State


class Verdict(StrEnum):
    """What replaying a letter would do."""

    SAFE = "safe"  # what was asked for, and nothing besides
    APPLIED = "applied"  # what has happened already, or is under way
    SUPERSEDED = "superseded"  # undo what a newer command has asked for
    DANGEROUS = "dangerous"  # take something away, or wait for ever: a person must want it
    IMPOSSIBLE = "impossible"  # find the same mistake again


#: A verdict that a person may insist on.
INSISTABLE = (Verdict.APPLIED, Verdict.SUPERSEDED, Verdict.DANGEROUS)

#: Commands that bring a service into a state, so that the last of them counts.
SHAPING = frozenset({"upgrade-service", "rollback", "restore-snapshot", "register-service"})
#: Commands that set one thing of a service, so that the last of each kind counts.
SETTING = frozenset({"set-retention", "set-rpo"})
#: Commands that put back data and so take away what was written since.
TURNING_BACK = frozenset({"restore-snapshot", "rollback"})


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which letters are meant; every field that is set must match."""

    fingerprint: str | None = None
    reason: str | None = None
    kind: str | None = None
    tenant_id: str | None = None
    service_id: str | None = None

    def document(self) -> dict[str, str]:
        """What is set, by name."""
        names = ("fingerprint", "reason", "kind", "tenant_id", "service_id")
        return {name: str(getattr(self, name)) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Unresolved letters with the same cause. Times are UTC milliseconds."""

    fingerprint: str
    kind: str | None
    reason: str
    letters: int
    services: int
    seen: int
    first_at: int
    last_at: int
    sentence: str  # of the newest
    newest_id: str


@dataclass(frozen=True, slots=True)
class Newer:
    """A command to the same service that was accepted after the one that failed."""

    op_id: str
    kind: str
    state: State
    same: bool  # asks for the same thing


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about one letter."""

    dead_letter_id: str
    kind: str | None
    reason: str
    service_id: str
    op_id: str | None  # None: a message that was never accepted
    op_state: State | None
    newer: Sequence[Newer] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """A letter's verdict, and why."""

    dead_letter_id: str
    verdict: Verdict
    why: str


def advise(facts: Facts, refusal: str = "") -> Advice:
    """What replaying the letter now would do. `refusal`: why its message cannot be accepted now either."""
    verdict, why = _judge(facts, refusal)
    return Advice(facts.dead_letter_id, verdict, why)


def _judge(facts: Facts, refusal: str) -> tuple[Verdict, str]:
    if facts.op_state is State.STUCK:
        return Verdict.DANGEROUS, (
            f"operation {facts.op_id} is STUCK and reserves the service: resolve it, a replay would wait behind it"
        )
    if refusal:
        return Verdict.IMPOSSIBLE, f"it would be refused again: {refusal}"
    if facts.reason == "key-reused":
        return Verdict.DANGEROUS, "its key was used for two different messages: make sure that this one is meant"
    for one in facts.newer:  # what this looks for is what in_effect and may_supersede let through
        if one.same and one.state is State.SUCCEEDED:
            return Verdict.APPLIED, f"operation {one.op_id} did the same later"
        if one.same and one.state not in TERMINAL:
            return Verdict.APPLIED, f"operation {one.op_id} is doing the same ({one.state})"
    for one in facts.newer:
        if _supersedes(facts.kind or "", one):
            return Verdict.SUPERSEDED, f"operation {one.op_id} ({one.kind}, {one.state}) is newer"
    if facts.kind in TURNING_BACK:
        return Verdict.DANGEROUS, "it puts data back, and takes away what was written since it was first asked for"
    return Verdict.SAFE, "nothing of it is in effect, and nothing newer contradicts it"


def in_effect(state: State) -> bool:
    """Whether a command in that state has done what it asks for, or is doing it."""
    return state is State.SUCCEEDED or state not in TERMINAL


def may_supersede(kind: str, state: State) -> bool:
    """Whether such a command may have decided what some older one was to decide."""
    return kind in SHAPING | SETTING and state is not State.CANCELLED


def _supersedes(kind: str, newer: Newer) -> bool:
    """Whether the newer command decided what this one was to decide. One of the same kind counts also when it
    failed: it is what was wanted last."""
    if newer.state is State.CANCELLED:
        return False
    if newer.kind == kind:
        return kind in SHAPING or kind in SETTING
    return kind in SHAPING and newer.kind in SHAPING and newer.state not in (State.FAILED, State.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A letter that is going to be replayed."""

    dead_letter_id: str
    fingerprint: str
    subject: str | None


def canaries_first(letters: Sequence[Candidate], canary: int) -> list[str]:
    """The ids in the order of their replay: oldest first, but for the canaries, which come from as many causes as
    there are. A letter is never moved before an older one of its service."""
    chosen: list[Candidate] = []
    seen: set[str | None] = set()
    free = []
    for letter in letters:
        if letter.subject is None or letter.subject not in seen:
            free.append(letter)
        seen.add(letter.subject)
    while free and len(chosen) < canary:
        causes: set[str] = set()
        for letter in list(free):
            if letter.fingerprint not in causes and len(chosen) < canary:
                causes.add(letter.fingerprint)
                chosen.append(letter)
                free.remove(letter)
    ids = [letter.dead_letter_id for letter in chosen]
    return ids + [letter.dead_letter_id for letter in letters if letter.dead_letter_id not in set(ids)]
