"""The port `DeadLetters`: what needs a person is kept, and resolved exactly once."""

from __future__ import annotations

from typing import Any

import pytest

from domain.contracts import DeadLetter
from domain.errors import Refused
from domain.operation import State
from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.contract.sql_bench import ANN, BOB, Bench, accepted, rejected


def _failed(bench: Bench, message_id: str = "m1", **more: Any) -> DeadLetter:
    claim = bench.running(message_id=message_id, **more)
    bench.fail(claim, traceback='Traceback\n  File "/x/y.py", line 3, in f\nValueError: 1')
    return bench.database.dead_letters.list(resolved=False, limit=1, before=None)[0]


def test_a_failed_operation_is_a_dead_letter_with_its_reason_and_traceback(bench: Bench) -> None:
    listed = _failed(bench)
    letter = bench.database.dead_letters.get(listed.dead_letter_id)
    assert letter is not None
    assert (letter.reason, letter.sentence, letter.kind) == ("broken", "it is broken", "create-snapshot")
    assert (letter.subject, letter.source, letter.message_id) == ("tenant/acme/service/web", "/console", "m1")
    assert letter.traceback.endswith("ValueError: 1")
    assert letter.raw is None


def test_a_listing_opens_nothing_that_may_hold_secrets(bench: Bench) -> None:
    bench.accept(rejected(b"raw", headers={"a": "b"}))
    (letter,) = bench.database.dead_letters.list(resolved=False, limit=10, before=None)
    assert (letter.raw, letter.headers, letter.traceback) == (None, {}, "")


def test_letters_with_the_same_cause_share_a_fingerprint(bench: Bench) -> None:
    assert _failed(bench, "m1").fingerprint == _failed(bench, "m2").fingerprint


def test_letters_are_listed_newest_first_page_by_page(bench: Bench) -> None:
    made = [_failed(bench, f"m{n}").dead_letter_id for n in range(3)]
    page = bench.database.dead_letters.list(resolved=False, limit=2, before=None)
    rest = bench.database.dead_letters.list(resolved=False, limit=2, before=page[-1].dead_letter_id)
    assert [letter.dead_letter_id for letter in page + rest] == made[::-1]


def test_resolved_letters_are_listed_only_when_asked_for(bench: Bench) -> None:
    letter = _failed(bench)
    assert bench.database.dead_letters.discard(letter.dead_letter_id, ANN, "known")
    assert bench.letters() == []
    (found,) = bench.database.dead_letters.list(resolved=True, limit=10, before=None)
    assert (found.resolution, found.resolved_by, found.resolved_note) == ("discarded", "ann", "known")


def test_a_replay_is_a_new_operation_with_lineage_in_both_directions(bench: Bench) -> None:
    letter = _failed(bench, data={"labels": ["a:b"]}, correlation_id="c-1", reply_to="me", deadline_ms=7)
    op_id = bench.database.dead_letters.replay_operation(letter.dead_letter_id, ANN)
    assert op_id is not None
    replay = bench.get(op_id)
    assert (replay.source, replay.message_id, replay.causation_id) == ("/console", "m1.r1", letter.op_id)
    assert (replay.state, replay.data, replay.attempts) == (State.QUEUED, {"labels": ["a:b"]}, 0)
    assert (replay.correlation_id, replay.reply_to) == ("c-1", "me")
    assert replay.deadline_at == 0  # it would have passed: a person asked again
    resolved = bench.database.dead_letters.get(letter.dead_letter_id)
    assert resolved is not None
    assert (resolved.resolution, resolved.resolved_by, resolved.replay_op_id) == ("replayed", "ann", op_id)


def test_a_second_click_on_replay_changes_nothing(bench: Bench) -> None:
    letter = _failed(bench)
    bench.database.dead_letters.replay_operation(letter.dead_letter_id, ANN)
    assert bench.database.dead_letters.replay_operation(letter.dead_letter_id, BOB) is None
    assert bench.database.inbox.backlog() == 1


def test_a_discarded_letter_cannot_be_replayed_and_a_replayed_one_not_discarded(bench: Bench) -> None:
    first, second = _failed(bench, "m1"), _failed(bench, "m2")
    bench.database.dead_letters.discard(first.dead_letter_id, ANN, "")
    bench.database.dead_letters.replay_operation(second.dead_letter_id, ANN)
    assert bench.database.dead_letters.replay_operation(first.dead_letter_id, BOB) is None
    assert not bench.database.dead_letters.discard(second.dead_letter_id, BOB, "")


def test_a_replay_takes_the_next_free_id_if_a_publisher_has_used_the_first(bench: Bench) -> None:
    letter = _failed(bench, "m1")
    bench.accept_one("m1.r1", "other")
    op_id = bench.database.dead_letters.replay_operation(letter.dead_letter_id, ANN)
    assert op_id is not None and bench.get(op_id).message_id == "m1.r2"


def test_a_replay_goes_where_the_service_is_by_now(bench: Bench) -> None:
    bench.make(SaveService(Service("web", "acme", "web", "web", node="n1")))
    letter = _failed(bench, local=True)
    bench.make(SaveService(Service("web", "acme", "web", "web", node="n2")))
    op_id = bench.database.dead_letters.replay_operation(letter.dead_letter_id, ANN)
    assert op_id is not None and bench.get(op_id).node == "n2"


def test_a_stuck_operation_is_not_replayed_behind_itself(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.settle(claim, Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    (letter,) = bench.database.dead_letters.list(resolved=False, limit=10, before=None)
    with pytest.raises(Refused, match="STUCK"):
        bench.database.dead_letters.replay_operation(letter.dead_letter_id, ANN)
    assert bench.letters() == ["undo-failed"]


def test_a_message_that_decodes_by_now_becomes_an_operation_under_its_own_id(bench: Bench) -> None:
    (receipt,) = bench.accept(rejected(b"{}"))
    letter_id = receipt.dead_letter_id or ""
    op_id = bench.database.dead_letters.replay_message(letter_id, ANN, accepted("m1"))
    assert op_id is not None
    assert (bench.get(op_id).message_id, bench.get(op_id).causation_id) == ("m1", letter_id)
    assert bench.database.dead_letters.replay_message(letter_id, BOB, accepted("m1")) is None


def test_a_reused_key_can_be_replayed_beside_the_first_operation(bench: Bench) -> None:
    bench.accept_one("m1")
    (receipt,) = bench.accept(accepted("m1", digest="other"))
    op_id = bench.database.dead_letters.replay_message(
        receipt.dead_letter_id or "", ANN, accepted("m1", digest="other")
    )
    assert op_id is not None and bench.get(op_id).message_id == "m1.r1"


def test_letters_about_a_message_are_found_by_its_key(bench: Bench) -> None:
    letter = _failed(bench, "m1")
    found = bench.database.find_dead_letters("/console", "m1")
    assert [one.dead_letter_id for one in found] == [letter.dead_letter_id]
    assert bench.database.find_dead_letters("/console", "m2") == []


def test_an_unknown_letter_is_nothing(bench: Bench) -> None:
    assert bench.database.dead_letters.get("none") is None
    assert bench.database.dead_letters.replay_operation("none", ANN) is None
    assert not bench.database.dead_letters.discard("none", ANN, "")


@pytest.mark.parametrize(("policy", "letters"), [(False, []), (True, ["refused-by-region"])])
def test_what_was_rolled_back_is_a_dead_letter_by_policy(database_url: str, policy: bool, letters: list[str]) -> None:
    with Bench.opened(database_url, rolled_back_letters=policy) as bench:
        claim = bench.running()
        outcome = Outcome(State.ROLLED_BACK, "everything is as before", code="refused-by-region")
        bench.database.ledger.settle(claim, outcome)
        assert bench.letters() == letters
