"""The ports `Replays` and `LetterQuestions`: a frozen list that any process carries on, each letter once."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

import pytest

import handlers
from domain.audit import Actor
from domain.contracts import Accepted, Rejected
from domain.errors import Refused
from domain.letters import Facts, LetterFilter, Newer, Verdict, advise
from domain.message import Envelope
from domain.operation import State
from domain.outcome import Outcome
from domain.replay import ItemState, ReplayState
from tests.contract.sql_bench import ANN, BOB, Bench, rejected
from workers.command_event import cloud_event
from workers.judge import judge_with
from workers.letter_documents import group_document
from workers.replaying import Replaying

EVERY = LetterFilter()


def _replaying(bench: Bench) -> Replaying:
    known = handlers.subscriptions()
    return Replaying(bench.database, judge_with(known), known)


def _failed(bench: Bench, service: str, code: str = "broken", **more: object) -> str:
    """The letter of an operation that failed."""
    claim = bench.running(service=service, **more)
    outcome = Outcome(State.FAILED, f"it is {code}", code=code)
    bench.database.ledger.settle(claim, outcome)
    return _newest(bench)


def _newest(bench: Bench) -> str:
    return bench.database.dead_letters.list(resolved=False, limit=1, before=None)[0].dead_letter_id


def _begin(bench: Bench, ids: Sequence[str], canary: int = 0, per_minute: int = 0) -> str:
    begun = _replaying(bench).begin(ANN, ids, canary=canary, per_minute=per_minute, reason="why", chosen_by={})
    return begun.replay_id


def _end(bench: Bench, state: State = State.SUCCEEDED) -> int:
    """End everything that is queued; how many that was."""
    claims = bench.claim(limit=100)
    for claim in claims:
        bench.database.ledger.settle(claim, Outcome(state, "that is how it ended", code="again"))
    return len(claims)


def _standing(bench: Bench, replay_id: str) -> tuple[ReplayState, list[ItemState]]:
    found = bench.database.replays.get(replay_id)
    assert found is not None
    return found.state, [item.state for item in bench.database.replays.items(replay_id)]


W, R, S = ItemState.WAITING, ItemState.REPLAYED, ItemState.SKIPPED


# ---------------------------------------------------------------- groups, filters, facts
def test_groups_count_what_nobody_resolved_by_its_cause(bench: Bench) -> None:
    for service in ("a", "b"):
        _failed(bench, service, "disk-full")
    first = _failed(bench, "a", "no-key")
    bench.accept(rejected(b"{"), rejected(b"{"))
    groups = bench.database.letter_questions.groups(EVERY)
    assert [(one.reason, one.letters, one.services, one.seen) for one in groups] == [
        ("disk-full", 2, 2, 2), ("invalid", 1, 0, 2), ("no-key", 1, 1, 1),
    ]  # fmt: skip
    assert (groups[2].newest_id, groups[2].sentence) == (first, "it is no-key")
    bench.database.dead_letters.discard(first, ANN, "known")
    assert [one.reason for one in bench.database.letter_questions.groups(EVERY)] == ["disk-full", "invalid"]


def test_groups_can_be_told_as_json_whatever_the_database_makes_of_a_sum(bench: Bench) -> None:
    bench.accept(rejected(b"{"), rejected(b"{"))
    (group,) = bench.database.letter_questions.groups(EVERY)
    assert json.loads(json.dumps(group_document(group)))["seen"] == 2


@pytest.mark.parametrize(
    ("wanted", "services"),
    [
        (LetterFilter(), ["a", "b", "a_b"]),
        (LetterFilter(service_id="a_b"), ["a_b"]),
        (LetterFilter(service_id="b"), ["b"]),
        (LetterFilter(tenant_id="other"), ["b"]),
        (LetterFilter(tenant_id="othe_"), []),
        (LetterFilter(reason="no-key"), ["a_b"]),
        (LetterFilter(kind="verify-snapshot"), ["a"]),
        (LetterFilter(kind="verify-snapshot", service_id="b"), []),
    ],
)
def test_letters_are_chosen_by_all_that_is_asked_oldest_first(
    bench: Bench, wanted: LetterFilter, services: list[str]
) -> None:
    _failed(bench, "a", kind="verify-snapshot")
    _failed(bench, "b", tenant="other")
    _failed(bench, "a_b", "no-key")
    found = bench.database.letter_questions.candidates(wanted, 10)
    assert [(one.subject or "").rpartition("/")[2] for one in found] == services
    listed = bench.database.dead_letters.list(resolved=False, limit=10, before=None, wanted=wanted)
    assert [letter.dead_letter_id for letter in listed] == [one.dead_letter_id for one in reversed(found)]


def test_a_group_is_chosen_by_its_fingerprint(bench: Bench) -> None:
    letter = _failed(bench, "a", "disk-full")
    _failed(bench, "a", "no-key")
    mine = next(one for one in bench.database.letter_questions.groups(EVERY) if one.reason == "disk-full")
    found = bench.database.letter_questions.candidates(LetterFilter(fingerprint=mine.fingerprint), 10)
    assert [one.dead_letter_id for one in found] == [letter]


def test_replays_come_in_pages_and_may_be_of_one_person(bench: Bench) -> None:
    replays = bench.database.replays
    made = [
        replays.create(by, [], canary=0, per_minute=0, reason="", selection={}).replay_id for by in (ANN, BOB, ANN, ANN)
    ]
    first = replays.list(2)
    assert [one.replay_id for one in (*first, *replays.list(9, first[-1].replay_id))] == made[::-1]
    mine = replays.list(2, by=[ANN])
    assert [one.replay_id for one in (*mine, *replays.list(2, mine[-1].replay_id, [ANN]))] == [
        made[3],
        made[2],
        made[0],
    ]
    assert replays.list(9, by=[Actor(ANN.name, "another way")]) == replays.list(9, by=[]) == []
    assert len(replays.list(9, by=[ANN, BOB])) == 4


def test_a_plan_knows_what_came_later(bench: Bench) -> None:
    safe = _failed(bench, "a", data={"labels": ["a:1"]})
    done = _failed(bench, "b", data={"labels": ["b:1"]}, digest="same-request")
    bench.succeed(bench.running(service="b", data={"labels": ["b:1"]}, digest="same-request"))
    older = _failed(bench, "c", kind="set-retention", digest="one")
    bench.succeed(bench.running(service="c", kind="set-retention", digest="two"))
    (wrong,) = bench.accept(rejected(b"{"))
    advice = _replaying(bench).plan([safe, done, older, wrong.dead_letter_id or "", "unknown"])
    assert [one.verdict for one in advice] == [
        Verdict.SAFE, Verdict.APPLIED, Verdict.SUPERSEDED, Verdict.IMPOSSIBLE,
    ]  # fmt: skip


def test_a_plan_says_what_the_whole_history_would_make_it_say(bench: Bench) -> None:
    """Any history, with a clock that goes back: the few commands that are kept give the verdicts that all would."""
    chance = random.Random(13)
    kinds = ["upgrade-service", "rollback", "create-snapshot", "set-retention", "set-rpo"]
    ends = [State.FAILED, State.FAILED, State.SUCCEEDED, State.ROLLED_BACK, State.CANCELLED]
    letters: list[str] = []
    history: list[tuple[str, str, State, str, int]] = []  # op id, kind, state, hash, when; oldest first
    for _ in range(36):
        kind, asks, final = chance.choice(kinds), chance.choice("uvwxyz"), chance.choice(ends)
        bench.now += chance.choice([-5_000, 1_000, 1_000])
        claim = bench.running(service="a", kind=kind, digest=asks)
        bench.database.ledger.settle(claim, Outcome(final, "so it ended", code="broken"))
        history.append((claim.operation.op_id, kind, final, asks, bench.now))
        if final is State.FAILED:
            letters.append(_newest(bench))
    waiting = bench.accept_one(service="a", kind="create-snapshot", digest="x")
    history.append((waiting, "create-snapshot", State.QUEUED, "x", bench.now))
    failed = [number for number, one in enumerate(history) if one[2] is State.FAILED]
    expected = []
    for letter, number in zip(letters, failed, strict=True):
        op_id, kind, state, asks, _ = history[number]
        newer = [Newer(one[0], one[1], one[2], same=one[3] == asks) for one in reversed(history[number + 1 :])]
        expected.append(advise(Facts(letter, kind, "broken", "a", op_id, state, newer)))
    assert {one.verdict for one in expected} >= {Verdict.SAFE, Verdict.APPLIED, Verdict.SUPERSEDED}
    assert _replaying(bench).plan(letters) == expected


def test_a_message_that_was_never_accepted_is_judged_by_what_came_after_it_also_when_the_clock_went_back(
    bench: Bench,
) -> None:
    body = json.dumps(cloud_event("create-snapshot", "tenant/acme/service/web", {}, "late", "/console")).encode()
    item = judge_with(handlers.subscriptions())(Envelope(body))
    assert isinstance(item, Accepted)
    (older,) = bench.accept(rejected(body, subject="tenant/acme/service/web", kind="create-snapshot"))
    bench.now += 100_000
    (letter,) = bench.accept(rejected(body + b" ", subject="tenant/acme/service/web", kind="create-snapshot"))
    for later in (10_000, -60_000):
        bench.now += later
        bench.succeed(bench.running(digest=item.request_hash))
    advice = _replaying(bench).plan([older.dead_letter_id or "", letter.dead_letter_id or ""])
    assert [one.verdict for one in advice] == [Verdict.APPLIED, Verdict.APPLIED]


def test_a_plan_of_letters_that_there_are_not_is_empty(bench: Bench) -> None:
    assert _replaying(bench).plan(["unknown"]) == [] == _replaying(bench).plan([])


def test_what_is_kept_of_a_service_does_not_grow_with_its_letters(bench: Bench) -> None:
    few = [_failed(bench, "a", kind="upgrade-service", digest=f"d{number}") for number in range(5)]
    first = bench.database.letter_questions.facts(few, {})
    many = few + [_failed(bench, "a", kind="upgrade-service", digest=f"e{number}") for number in range(12)]
    then = bench.database.letter_questions.facts(many, {})
    assert [len(one.newer) for one in first] == [1, 1, 1, 1, 0]
    assert [len(one.newer) for one in then] == [1] * 16 + [0]


def test_only_what_is_safe_is_chosen_unless_somebody_insists(bench: Bench) -> None:
    safe = _failed(bench, "a")
    older = _failed(bench, "c", kind="set-retention", digest="one")
    bench.succeed(bench.running(service="c", kind="set-retention", digest="two"))
    assert _replaying(bench).choose(EVERY)[0] == [safe]
    assert _replaying(bench).choose(EVERY, [Verdict.SUPERSEDED])[0] == [safe, older]
    letter = _replaying(bench).find(older)
    with pytest.raises(Refused, match="superseded"):
        _replaying(bench).replay_if(letter, ANN)
    assert _replaying(bench).replay_if(letter, ANN, [Verdict.SUPERSEDED]) is not None


# ---------------------------------------------------------------- carrying on
def test_every_letter_of_the_list_becomes_one_operation_whoever_carries_it_on(bench: Bench) -> None:
    letters = [_failed(bench, service) for service in ("a", "b", "c")]
    late = _failed(bench, "d")
    bench.database.dead_letters.discard(late, BOB, "known")
    replay_id = _begin(bench, letters)
    assert (_replaying(bench).carry_on(replay_id), _replaying(bench).carry_on_all()) == (3, 0)
    assert _standing(bench, replay_id) == (ReplayState.DONE, [R, R, R])
    assert _end(bench) == 3
    assert bench.letters() == []


def test_what_failed_after_the_list_was_frozen_is_not_in_it(bench: Bench) -> None:
    first = _failed(bench, "a")
    replay_id = _begin(bench, [first])
    _failed(bench, "b")
    _replaying(bench).carry_on(replay_id)
    assert _end(bench) == 1
    assert bench.letters() == ["broken"]


def test_a_failing_canary_leaves_the_rest_as_it_was(bench: Bench) -> None:
    letters = [_failed(bench, service) for service in ("a", "b", "c")]
    replay_id = _begin(bench, letters, canary=1)
    assert _replaying(bench).carry_on(replay_id) == 1
    assert _replaying(bench).carry_on(replay_id) == 0, "the canary has not ended"
    _end(bench, State.FAILED)
    assert _replaying(bench).carry_on(replay_id) == 0
    assert _standing(bench, replay_id) == (ReplayState.STOPPED, [R, W, W])
    assert bench.letters() == ["again", "broken", "broken"]
    assert bench.database.replays.running() == []


def test_good_canaries_let_the_rest_go(bench: Bench) -> None:
    letters = [_failed(bench, service) for service in ("a", "b", "c")]
    replay_id = _begin(bench, letters, canary=2)
    _replaying(bench).carry_on(replay_id)
    _end(bench)
    assert _replaying(bench).carry_on(replay_id) == 1
    assert _standing(bench, replay_id) == (ReplayState.DONE, [R, R, R])


def test_a_rate_is_kept(bench: Bench) -> None:
    letters = [_failed(bench, service) for service in ("a", "b", "c")]
    replay_id = _begin(bench, letters, per_minute=2)
    made = []
    for _ in range(4):
        made.append(_replaying(bench).carry_on(replay_id))
        bench.now += 30_000
    assert made == [1, 1, 1, 0]


def test_a_letter_that_somebody_resolves_meanwhile_is_left_out_and_says_by_whom(bench: Bench) -> None:
    letters = [_failed(bench, service) for service in ("a", "b")]
    replay_id = _begin(bench, letters)
    bench.database.dead_letters.discard(letters[0], BOB, "known")
    assert _replaying(bench).carry_on(replay_id) == 1
    assert _standing(bench, replay_id) == (ReplayState.DONE, [S, R])
    assert "discarded by bob" in bench.database.replays.items(replay_id)[0].why


def test_two_replays_of_the_same_letters_have_one_effect(bench: Bench) -> None:
    letters = [_failed(bench, service) for service in ("a", "b")]
    for _ in range(2):
        _begin(bench, letters)
    assert _replaying(bench).carry_on_all() == 2
    assert _end(bench) == 2


def test_a_person_stops_it_once_and_what_waits_stays_a_dead_letter(bench: Bench) -> None:
    letters = [_failed(bench, service) for service in ("a", "b")]
    replay_id = _begin(bench, letters, per_minute=1)
    _replaying(bench).carry_on(replay_id)
    assert [bench.database.replays.stop(replay_id, by, "wrong group") for by in (BOB, ANN)] == [True, False]
    bench.now += 60_000
    assert _replaying(bench).carry_on_all() == 0
    assert _standing(bench, replay_id) == (ReplayState.STOPPED, [R, W])
    assert bench.letters() == ["broken"]


def test_no_letter_goes_when_the_replay_was_stopped_in_between(bench: Bench) -> None:
    """One process looked before the stop, and replays after it."""
    letter = _failed(bench, "a")
    replay_id = _begin(bench, [letter])
    (due,) = bench.database.replays.due(replay_id)
    bench.database.replays.stop(replay_id, BOB, "wrong")
    with pytest.raises(Refused, match="stopped"):
        bench.database.dead_letters.replay_operation(letter, ANN, (replay_id, due.ordinal))
    assert (bench.letters(), _end(bench)) == (["broken"], 0)


def test_messages_that_are_still_wrong_are_left_out_and_others_accepted(bench: Bench) -> None:
    event = {
        "specversion": "1.0", "id": "m9", "source": "/t", "type": "backstay.create-snapshot.v1",
        "subject": "tenant/acme/service/web", "data": {},
    }  # fmt: skip
    raws = [json.dumps(event).encode(), b"{"]
    ids = [r.dead_letter_id or "" for r in bench.accept(*(Rejected(raw, "unknown-type", "type: none") for raw in raws))]
    replay_id = _begin(bench, ids)
    assert _replaying(bench).carry_on(replay_id) == 1
    assert _standing(bench, replay_id) == (ReplayState.DONE, [R, S])
    assert [claim.operation.message_id for claim in bench.claim()] == ["m9"]


def test_who_began_it_and_how_it_was_chosen_is_audited_with_each_letter(bench: Bench) -> None:
    letter = _failed(bench, "a")
    begun = _replaying(bench).begin(
        BOB, [letter], canary=1, per_minute=5, reason="disk is back", chosen_by={"reason": "broken"}
    )
    _replaying(bench).carry_on(begun.replay_id)
    replayed, created = bench.database.audit.list()
    assert (created.action, created.actor, created.way, created.reason) == (
        "replay.create", "bob", "console", "disk is back",
    )  # fmt: skip
    assert created.detail == {"reason": "broken", "letters": 1, "canary": 1, "per_minute": 5}
    assert (replayed.action, replayed.actor, replayed.subject) == ("dead-letter.replay", "bob", f"dead-letter/{letter}")


# ---------------------------------------------------------------- editing
def test_what_a_person_edits_is_a_new_message_and_the_letter_keeps_the_original(bench: Bench) -> None:
    letter_id = _failed(bench, "a", message_id="m1", data={"labels": ["a:1"]}, correlation_id="c-1")
    replaying = _replaying(bench)
    letter = replaying.find(letter_id)
    assert json.loads(replaying.editable(letter)) == {"labels": ["a:1"]}
    item = replaying.edited(letter, '{"labels": ["a:2"]}')
    made = bench.database.dead_letters.replay_edited(letter_id, ANN, item, "wrong label")
    assert made is not None
    new = bench.get(made)
    assert (new.message_id, new.data, new.causation_id) == ("m1.e1", {"labels": ["a:2"]}, letter.op_id)
    assert (new.kind, new.service_id, new.correlation_id) == ("create-snapshot", "a", "c-1")
    kept = replaying.find(letter_id)
    assert (kept.resolution, kept.replay_op_id, kept.resolved_note) == ("replayed", made, "edited: wrong label")
    assert bench.get(letter.op_id or "").data == {"labels": ["a:1"]}
    assert bench.database.dead_letters.replay_edited(letter_id, BOB, item, "") is None
    assert [entry.action for entry in bench.database.audit.list()] == ["dead-letter.edit"]


def test_a_raw_message_is_edited_as_it_came(bench: Bench) -> None:
    raw = json.dumps({"specversion": "1.0", "id": "m9", "source": "/t", "data": {}}).encode()
    (receipt,) = bench.accept(Rejected(raw, "invalid", "type: missing"))
    replaying = _replaying(bench)
    letter = replaying.find(receipt.dead_letter_id or "")
    text = replaying.editable(letter).replace(
        '"data"', '"type": "backstay.create-snapshot.v1", "subject": "tenant/acme/service/web", "data"'
    )
    made = bench.database.dead_letters.replay_edited(letter.dead_letter_id, ANN, replaying.edited(letter, text), "")
    assert made is not None and bench.get(made).causation_id == letter.dead_letter_id
    assert replaying.find(letter.dead_letter_id).raw == raw


@pytest.mark.parametrize("text", ["{", "[]", '{"labels": "a"}'])
def test_what_intake_would_refuse_is_refused_and_changes_nothing(bench: Bench, text: str) -> None:
    letter = _replaying(bench).find(_failed(bench, "a"))
    with pytest.raises(Refused):
        _replaying(bench).edited(letter, text)
    assert bench.letters() == ["broken"]


def test_a_stuck_operation_is_not_edited_past_its_resolution(bench: Bench) -> None:
    claim = bench.running(service="a")
    bench.database.ledger.settle(claim, Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    letter = _replaying(bench).find(_newest(bench))
    item = _replaying(bench).edited(letter, "{}")
    with pytest.raises(Refused, match="STUCK"):
        bench.database.dead_letters.replay_edited(letter.dead_letter_id, ANN, item, "")
    assert bench.letters() == ["undo-failed"]
