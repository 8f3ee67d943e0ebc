"""Kill -9 while many dead letters are replayed: another process carries on, and each letter has one effect."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

import handlers
from domain.audit import Actor
from domain.contracts import Rejected
from domain.letters import LetterFilter
from domain.operation import State
from domain.outcome import Outcome
from domain.replay import ReplayState
from storage.sql import Database, open_database
from tests.contract.sql_bench import LEASE, FlippingSealer, accepted
from tests.dying import killed
from workers.judge import judge_with
from workers.replaying import Replaying

ANN = Actor("ann", "cli")
SERVICES = ("a", "b", "c", "d")
RAW = {
    "specversion": "1.0", "id": "raw", "source": "/t", "type": "backstay.create-snapshot.v1",
    "subject": "tenant/acme/service/e", "data": {},
}  # fmt: skip

#: Where, and at which hit: every commit of a replay, its first time and in the middle.
DEATHS = [
    ("replay-create.before-commit", 1),
    ("replay-create.after-commit", 1),
    ("replay-operation.before-commit", 1),
    ("replay-operation.after-commit", 1),
    ("replay-operation.before-commit", 3),
    ("replay-operation.after-commit", 3),
    ("replay-message.before-commit", 1),
    ("replay-message.after-commit", 1),
    ("replay-skip.before-commit", 1),
    ("replay-skip.after-commit", 1),
    ("replay-turn.before-commit", 1),
    ("replay-turn.after-commit", 1),
    ("replay-turn.before-commit", 2),
    ("replay-turn.after-commit", 2),
]


def _open(url: str) -> Database:
    return open_database(url, FlippingSealer(), clock_ms=lambda: 1_800_000_000_000)


def _replaying(database: Database) -> Replaying:
    known = handlers.subscriptions()
    return Replaying(database, judge_with(known), known)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Four operations that failed, a message that can be accepted by now, and one that cannot."""
    url = f"sqlite:///{tmp_path}/backstay.db"
    database = _open(url)
    database.migrate()
    database.inbox.accept([accepted(f"m-{name}", name) for name in SERVICES])
    for claim in database.ledger.claim("n1", "n1|b|ns|1|1", 9, LEASE):
        database.ledger.settle(claim, Outcome(State.FAILED, "the disk is full", code="disk-full"))
    raws = [json.dumps(RAW).encode(), b"{"]
    database.inbox.accept([Rejected(raw, "unknown-type", "type: is none of these") for raw in raws])
    database.close()
    return url


def _begin_and_carry_on(database: Database) -> None:
    replaying = _replaying(database)
    if not database.replays.list(1):
        letters = replaying.matching(LetterFilter())
        replaying.begin(ANN, letters, canary=1, per_minute=0, reason="", chosen_by={})
    replaying.carry_on_all()
    for claim in database.ledger.claim("n1", "n1|b|ns|1|1", 9, LEASE):
        database.ledger.settle(claim, Outcome.succeeded("done"))
    replaying.carry_on_all()


@pytest.mark.parametrize(("point", "hit"), DEATHS)
def test_whoever_carries_on_after_a_kill_brings_every_letter_to_one_effect(url: str, point: str, hit: int) -> None:
    """L1"""
    killed(point, lambda: _begin_and_carry_on(_open(url)), hit)
    database = _open(url)
    _begin_and_carry_on(database)
    _begin_and_carry_on(database)
    made = [one for one in database.list_operations(limit=100) if one.causation_id is not None]
    assert Counter(one.service_id for one in made) == Counter([*SERVICES, "e"])
    letters = database.dead_letters.list(resolved=True, limit=100, before=None)
    by_operation = {letter.replay_op_id: letter for letter in letters if letter.replay_op_id}
    for one in made:
        assert one.causation_id in (by_operation[one.op_id].op_id, by_operation[one.op_id].dead_letter_id)
    assert [letter.raw is None and letter.resolution for letter in letters].count("replayed") == 5
    (left,) = database.dead_letters.list(resolved=False, limit=100, before=None)
    assert left.subject is None
    assert [one.state for one in database.replays.list(9)] == [ReplayState.DONE]
    acts = Counter(entry.action for entry in database.audit.list(limit=100))
    assert acts == {"replay.create": 1, "dead-letter.replay": 5}
    database.close()
