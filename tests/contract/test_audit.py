"""The port `Audit`: who changed what is kept with the change, is found again, and is never altered."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from domain import failpoint
from domain.audit import Actor
from domain.operation import State
from domain.outcome import Outcome
from tests.contract.sql_bench import ANN, BOB, Bench, accepted, rejected


def _acts(bench: Bench) -> list[tuple[str, str, str]]:
    return [(entry.actor, entry.action, entry.subject) for entry in bench.database.audit.list()]


def test_an_entry_is_read_back_as_it_was_recorded_with_the_databases_time(bench: Bench) -> None:
    entry = ANN.entry("keys.destroy", "tenant/acme", tenant_id="acme", reason="asked by \0 mail", detail={"n": 1})
    bench.database.audit.record(entry)
    (found,) = bench.database.audit.list()
    assert (found.actor, found.way, found.action, found.subject) == ("ann", "cli", "keys.destroy", "tenant/acme")
    assert (found.tenant_id, found.reason, found.detail, found.at) == (
        "acme",
        "asked by \\x00 mail",
        {"n": 1},
        bench.now,
    )


def test_entries_are_found_by_tenant_actor_action_and_subject_newest_first(bench: Bench) -> None:
    for actor, tenant in ((ANN, "acme"), (BOB, "acme"), (ANN, "other")):
        bench.database.audit.record(actor.entry(f"do-{tenant}", f"tenant/{tenant}", tenant_id=tenant))
    look = bench.database.audit.list
    assert [entry.actor for entry in look(tenant_id="acme")] == ["bob", "ann"]
    assert [entry.tenant_id for entry in look(actor="ann")] == ["other", "acme"]
    assert [entry.tenant_id for entry in look(action="do-other")] == ["other"]
    assert [entry.actor for entry in look(subject="tenant/acme")] == ["bob", "ann"]


def test_the_trail_is_read_page_by_page(bench: Bench) -> None:
    for number in range(3):
        bench.database.audit.record(ANN.entry("x", str(number)))
    first = bench.database.audit.list(limit=2)
    rest = bench.database.audit.list(limit=2, before=first[-1].seq)
    assert [entry.subject for entry in first + rest] == ["2", "1", "0"]


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'bob'", "DELETE FROM audit"])
def test_no_statement_changes_or_removes_an_entry(bench: Bench, statement: str) -> None:
    bench.database.audit.record(ANN.entry("x", "y"))
    with bench.database._engine.connect() as connection, pytest.raises(IntegrityError, match="audit_stays"):
        connection.execute(text(statement))


@pytest.mark.parametrize("way", ["cli", "api", "console"])
def test_a_command_that_a_person_sends_is_audited_once_when_it_is_accepted(bench: Bench, way: str) -> None:
    actor = Actor("ann@host", way)
    item = accepted("m1", source=actor.source(), data={"reason": "before the move"})
    (first,) = bench.accept(item)
    bench.accept(item, item)
    (entry,) = bench.database.audit.list()
    assert (entry.actor, entry.way, entry.action) == ("ann@host", way, "create-snapshot")
    assert (entry.subject, entry.tenant_id, entry.reason) == ("tenant/acme/service/web", "acme", "before the move")
    assert entry.detail == {"operation_id": first.op_id, "message_id": "m1"}


@pytest.mark.parametrize("source", ["/console/eu-1", "/backstay/daily", "/backstay/cli/", "/x/backstay/cli/ann"])
def test_what_programs_publish_is_no_persons_act(bench: Bench, source: str) -> None:
    bench.accept(accepted("m1", source=source))
    assert bench.database.audit.list() == []


def test_replaying_and_discarding_are_audited_once_each_by_whom_came_first(bench: Bench) -> None:
    bench.fail(bench.running())
    (receipt,) = bench.accept(rejected(b"{", subject="tenant/acme/service/web"))
    (raw, failed) = bench.database.dead_letters.list(resolved=False, limit=2, before=None)
    for actor in (ANN, BOB):
        bench.database.dead_letters.replay_operation(failed.dead_letter_id, actor)
        bench.database.dead_letters.discard(receipt.dead_letter_id or "", actor, "known")
    assert _acts(bench) == [
        ("ann", "dead-letter.discard", f"dead-letter/{raw.dead_letter_id}"),
        ("ann", "dead-letter.replay", f"dead-letter/{failed.dead_letter_id}"),
    ]
    discarded, replayed = bench.database.audit.list()
    assert (discarded.reason, discarded.tenant_id) == ("known", "acme")
    assert replayed.detail["operation_id"] == failed.op_id


def test_resolving_what_is_stuck_is_audited_with_what_was_said(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.settle(claim, Outcome(State.STUCK, "cannot be put back", code="undo-failed"))
    for actor in (ANN, BOB):
        bench.database.ledger.resolve_stuck(claim.operation.op_id, "accept", actor, "by hand")
    (entry,) = bench.database.audit.list()
    assert (entry.actor, entry.action, entry.reason) == ("ann", "operation.resolve", "by hand")
    assert entry.detail == {"how": "accept"}


@pytest.mark.parametrize("begun", [False, True])
def test_a_cancel_is_audited_with_what_it_met(bench: Bench, begun: bool) -> None:
    op_id = bench.running().operation.op_id if begun else bench.accept_one()
    bench.database.ledger.request_cancel(op_id, BOB)
    (entry,) = bench.database.audit.list()
    assert (entry.actor, entry.way, entry.action, entry.subject) == (
        "bob", "console", "operation.cancel", f"operation/{op_id}",
    )  # fmt: skip
    assert (entry.tenant_id, entry.detail) == ("acme", {"was": "RUNNING" if begun else "QUEUED"})


def test_a_change_and_its_entry_are_one_commit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """L2: killed before the commit, there is neither; never one of the two."""
    bench.fail(bench.running())
    (letter,) = bench.database.dead_letters.list(resolved=False, limit=2, before=None)

    def die(point: str) -> None:
        if point == "discard.before-commit":
            raise KeyboardInterrupt

    monkeypatch.setattr(failpoint, "hook", die)
    with pytest.raises(KeyboardInterrupt):
        bench.database.dead_letters.discard(letter.dead_letter_id, ANN, "known")
    assert (bench.letters(), _acts(bench)) == (["broken"], [])


def test_what_is_done_to_nodes_and_tokens_is_audited_where_it_changes_something(bench: Bench) -> None:
    bench.database.nodes.beat("n1", "boot", "1.0")
    for actor in (ANN, BOB):
        bench.database.nodes.drain("n1", actor, "new disk")
    bench.database.nodes.undrain("n1", ANN, "")
    token = bench.database.tokens.create("ci", "digest", {"*": "viewer"}, ANN, None)
    for actor in (ANN, BOB):
        bench.database.tokens.revoke(token.token_id, actor)
    assert _acts(bench) == [
        ("ann", "token.revoke", f"token/{token.token_id}"),
        ("ann", "token.create", f"token/{token.token_id}"),
        ("ann", "node.undrain", "node/n1"),
        ("ann", "node.drain", "node/n1"),
    ]
    assert "digest" not in str(bench.database.audit.list())
