"""The port `Inbox`: a message is accepted once, durably, and every message of a batch is answered."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from domain.contracts import Rejected
from domain.decoding import reject, unjudged
from domain.errors import InvalidMessage
from domain.message import Command, Envelope
from domain.operation import State
from domain.outcome import SaveService
from domain.service import Service
from tests.contract.sql_bench import ANN, Bench, accepted, rejected


def test_an_accepted_message_is_a_queued_operation_with_its_data(bench: Bench) -> None:
    op_id = bench.accept_one(data={"labels": ["a:b"]}, correlation_id="c-1", reply_to="me", deadline_ms=5)
    operation = bench.get(op_id)
    assert operation.state is State.QUEUED
    assert operation.data == {"labels": ["a:b"]}
    assert (operation.correlation_id, operation.reply_to, operation.deadline_at) == ("c-1", "me", 5)


def test_a_duplicate_message_is_answered_with_the_first_operation(bench: Bench) -> None:
    """I1: same key, same content, one operation."""
    first = bench.accept_one("m1")
    (receipt,) = bench.accept(accepted("m1"))
    assert (receipt.status, receipt.op_id) == ("duplicate", first)
    assert bench.database.inbox.backlog() == 1


def test_a_duplicate_within_one_batch_is_one_operation(bench: Bench) -> None:
    first, second = bench.accept(accepted("m1"), accepted("m1"))
    assert (first.status, second.status) == ("accepted", "duplicate")
    assert first.op_id == second.op_id
    assert bench.database.inbox.backlog() == 1


def test_a_reused_key_with_other_content_is_a_dead_letter_and_runs_nothing(bench: Bench) -> None:
    first = bench.accept_one("m1")
    (receipt,) = bench.accept(accepted("m1", digest="other", data={"x": 2}))
    assert (receipt.status, receipt.op_id) == ("key-reused", first)
    assert bench.database.inbox.backlog() == 1
    letter = bench.database.dead_letters.get(receipt.dead_letter_id or "")
    assert letter is not None and letter.reason == "key-reused"
    assert first in letter.sentence
    assert letter.raw is not None and b'"x":2' in letter.raw


def test_the_publisher_of_a_reused_key_is_told_once_and_the_first_operation_keeps_its_own_outcome(
    bench: Bench,
) -> None:
    bench.accept_one("m1")
    claim = bench.claim_one()
    other = accepted("m1", digest="other", data={"x": 2}, reply_to="me")
    (receipt,) = bench.accept(other)
    bench.accept(other)
    (event,) = bench.database.outbox.take(10, 1)
    told = event.payload["data"]
    assert (event.topic, event.reply_to) == ("create-snapshot.failed.acme", "me")
    assert (told["operation_id"], told["dead_letter_id"]) == (None, receipt.dead_letter_id)
    assert (told["command_id"], told["command_source"], told["code"]) == ("m1", "/console", "key-reused")
    bench.succeed(claim)
    assert bench.topics() == ["create-snapshot.succeeded.acme"]


def test_the_same_id_from_another_source_is_another_message(bench: Bench) -> None:
    item = accepted("m1")
    other = Command("/elsewhere", "m1", item.command.kind, 1, item.command.subject, {})
    receipts = bench.accept(item, type(item)(other, "same", True, False))
    assert [receipt.status for receipt in receipts] == ["accepted", "accepted"]


def test_receipts_are_in_the_order_of_a_mixed_batch(bench: Bench) -> None:
    bench.accept_one("old")
    receipts = bench.accept(accepted("new"), rejected(), accepted("old"), accepted("new", digest="other"))
    assert [receipt.status for receipt in receipts] == ["accepted", "rejected", "duplicate", "key-reused"]


def test_operations_of_a_batch_keep_its_order(bench: Bench) -> None:
    receipts = bench.accept(*[accepted(f"m{n}", f"s{n}") for n in range(200)])
    assert [bench.get(receipt.op_id or "").seq for receipt in receipts] == sorted(
        bench.get(receipt.op_id or "").seq for receipt in receipts
    )


def test_an_empty_batch_is_accepted(bench: Bench) -> None:
    assert bench.accept() == []


def test_an_identical_rejected_message_is_one_dead_letter_counted_again(bench: Bench) -> None:
    first, second = bench.accept(rejected(b"{"), rejected(b"{"))
    (third,) = bench.accept(rejected(b"{"))
    assert first.dead_letter_id == second.dead_letter_id == third.dead_letter_id
    letter = bench.database.dead_letters.get(first.dead_letter_id or "")
    assert letter is not None and (letter.seen, letter.raw) == (3, b"{")


def _binary(message_id: str, **more: str) -> Rejected:
    """A message in binary mode, of a type that nobody knows yet: all that tells it from another is in its headers."""
    attributes = {
        "specversion": "1.0", "id": message_id, "source": "/s", "type": "backstay.new-thing.v1",
        "subject": "tenant/acme/service/web",
    }  # fmt: skip
    headers = {f"ce-{name}": value for name, value in attributes.items()} | more
    return reject(Envelope(b"{}", headers, "application/json"), InvalidMessage("type: is none", code="unknown-type"))


def test_rejected_messages_in_binary_mode_with_the_same_body_are_letters_and_events_of_their_own(bench: Bench) -> None:
    first, second = bench.accept(_binary("m1"), _binary("m2"))
    (again,) = bench.accept(_binary("m1", **{"x-delivery-count": "1"}))
    assert first.dead_letter_id == again.dead_letter_id != second.dead_letter_id
    events = bench.database.outbox.take(10, 1)
    assert [event.payload["data"]["command_id"] for event in events] == ["m1", "m2"]
    letter = bench.database.dead_letters.get(second.dead_letter_id or "")
    assert letter is not None and (letter.seen, letter.message_id, letter.headers["ce-id"]) == (1, "m2", "m2")


def test_the_letter_that_release_0_1_wrote_of_a_message_is_counted_and_of_another_message_is_not(bench: Bench) -> None:
    (old,) = bench.accept(dataclasses.replace(_binary("m1"), digest=""))
    same, other = bench.accept(_binary("m1"), _binary("m2"))
    assert same.dead_letter_id == old.dead_letter_id != other.dead_letter_id
    events = bench.database.outbox.take(10, 1)
    assert [event.payload["data"]["command_id"] for event in events] == ["m1", "m2"]


def test_messages_that_nothing_was_read_of_are_letters_of_their_own_too(bench: Bench) -> None:
    envelopes = [Envelope(b"{}", {"ce-id": name}) for name in ("m1", "m2", "m1")]
    receipts = bench.accept(*[unjudged(envelope, "judging it failed") for envelope in envelopes])
    first, second, again = [receipt.dead_letter_id for receipt in receipts]
    assert first == again != second
    assert bench.topics() == []


def test_a_rejected_message_comes_back_after_it_was_discarded(bench: Bench) -> None:
    (first,) = bench.accept(rejected(b"{"))
    bench.database.dead_letters.discard(first.dead_letter_id or "", ANN, "noise")
    (second,) = bench.accept(rejected(b"{"))
    assert second.dead_letter_id != first.dead_letter_id
    assert bench.letters() == ["invalid"]


def test_the_publisher_of_a_rejected_message_is_told_once(bench: Bench) -> None:
    told: dict[str, Any] = {
        "source": "/console",
        "message_id": "m1",
        "kind": "create-snapshot",
        "subject": "tenant/acme/service/web",
        "reply_to": "me",
    }
    (receipt,) = bench.accept(rejected(b"1", **told))
    bench.accept(rejected(b"1", **told))
    (event,) = bench.database.outbox.take(10, 1)
    assert (event.topic, event.reply_to) == ("create-snapshot.failed.acme", "me")
    assert event.payload["data"]["operation_id"] is None
    assert event.payload["data"]["dead_letter_id"] == receipt.dead_letter_id
    assert event.payload["data"]["code"] == "invalid"


@pytest.mark.parametrize("missing", ["source", "message_id", "kind"])
def test_nobody_is_told_about_a_message_that_does_not_name_itself(bench: Bench, missing: str) -> None:
    named: dict[str, Any] = {"source": "/console", "message_id": "m1", "kind": "create-snapshot"}
    del named[missing]
    bench.accept(rejected(**named))
    assert bench.topics() == []


def test_a_rejected_kind_that_is_no_name_is_in_no_topic(bench: Bench) -> None:
    bench.accept(rejected(source="/console", message_id="m1", kind="#.*"))
    assert bench.topics() == []


def test_nul_and_lone_surrogates_reach_sql_escaped(bench: Bench) -> None:
    (receipt,) = bench.accept(accepted("m\0\udc80", data={"text": "a\0\udc80"}))
    operation = bench.get(receipt.op_id or "")
    assert operation.data == {"text": "a\0\udc80"}
    assert operation.message_id == "m\\x00\\udc80"
    assert bench.accept(accepted("m\0\udc80"))[0].status == "duplicate"


def test_a_rejected_message_full_of_odd_characters_is_kept(bench: Bench) -> None:
    (receipt,) = bench.accept(
        rejected(b"\0\xff", source="\0", message_id="\ud800", kind="\0", headers={"\0": "\ud800"})
    )
    letter = bench.database.dead_letters.get(receipt.dead_letter_id or "")
    assert letter is not None and letter.raw == b"\0\xff"
    assert letter.headers == {"\0": "\ud800"}


def test_a_deadline_beyond_every_calendar_is_kept_as_far_away(bench: Bench) -> None:
    op_id = bench.accept_one(deadline_ms=10**30)
    assert bench.get(op_id).deadline_at > bench.now


def test_local_work_is_bound_to_the_node_of_its_service(bench: Bench) -> None:
    bench.make(SaveService(Service("web", "acme", "web", "web", node="n7")))
    assert bench.get(bench.accept_one(local=True)).node == "n7"
    assert bench.get(bench.accept_one(local=False)).node is None


def test_an_explicit_node_overrides_the_service(bench: Bench) -> None:
    bench.make(SaveService(Service("web", "acme", "web", "web", node="n7")))
    assert bench.get(bench.accept_one(local=True, node="n2")).node == "n2"


def test_the_backlog_counts_what_nobody_has_started(bench: Bench) -> None:
    bench.accept(*[accepted(f"m{n}", f"s{n}") for n in range(3)])
    bench.claim(limit=1)
    assert bench.database.inbox.backlog() == 2
