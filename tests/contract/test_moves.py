"""The port `Moves`: operations whose node is lost or drained go elsewhere with their services, or to a person."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from domain.audit import Actor
from domain.contracts import Claim
from domain.errors import LeaseLost, NotFound, Refused
from domain.node import AWAY_MS
from domain.operation import Operation, State
from domain.outcome import Outcome, SaveService
from domain.service import Service
from domain.turned_back import reason_of
from tests.contract.sql_bench import LEASE, Bench

ROOT = Actor("root@ops", "cli")


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    """Services `web` and `db` on node n1, which is away; node n2 is there."""
    with Bench.opened(database_url) as opened:
        opened.make(SaveService(Service("web", "acme", "web", "web", node="n1", document={"x": 1})))
        opened.make(SaveService(Service("db", "acme", "db", "db", node="n1")))
        opened.database.nodes.beat("n1", "boot", "1.0")
        opened.now += AWAY_MS + 1
        opened.database.nodes.beat("n2", "boot", "1.0")
        yield opened


def _local(bench: Bench, service: str = "web") -> str:
    return bench.accept_one(service=service, local=True)


def _move(bench: Bench, op_id: str, to: str = "n2") -> list[str]:
    return bench.database.moves.move(op_id, to, ROOT, "n1 burnt")


def _refused(bench: Bench, op_id: str, to: str = "n2") -> str:
    before = [bench.get(op_id), bench.database.services.get("web")]
    with pytest.raises(Refused) as refused:
        _move(bench, op_id, to)
    assert [bench.get(op_id), bench.database.services.get("web")] == before
    assert refused.value.next_step or refused.value.code == "already-ended"
    return refused.value.code


def _begun_on_n1(bench: Bench, *steps: str) -> Operation:
    """An operation that n1 has begun, with these steps in its journal, and whose lease has ended."""
    op_id = _local(bench)
    claim = next(one for one in bench.claim(node="n1", owner="n1|b|ns|1|1") if one.operation.op_id == op_id)
    for ordinal, kind in enumerate(steps):
        bench.database.ledger.intend(claim, ordinal, kind, {}, (), LEASE)
    bench.now += LEASE + 1
    bench.database.nodes.beat("n2", "boot", "1.0")
    return bench.get(op_id)


def _claim_on_n2(bench: Bench) -> list[Claim]:
    return bench.claim(node="n2", owner="n2|b|ns|1|1")


# ---------------------------------------------------------------- moving
def test_an_operation_moves_with_its_service_and_with_what_waits_for_the_same_directory(bench: Bench) -> None:
    first, second, other = _local(bench), _local(bench), _local(bench, "db")
    before = bench.database.services.get("web")
    assert before is not None
    assert _move(bench, second) == ["web"]
    found = bench.database.services.get("web")
    assert found is not None
    assert (found.node, found.generation, found.document) == ("n2", before.generation + 1, {"x": 1})
    assert [bench.get(one).node for one in (first, second, other)] == ["n2", "n2", "n1"]
    assert [claim.operation.op_id for claim in _claim_on_n2(bench)] == [first]
    assert bench.get(_local(bench)).node == "n2"


def test_what_was_begun_and_touched_no_file_goes_on_elsewhere(bench: Bench) -> None:
    begun = _begun_on_n1(bench, "plan", "protect", "call")
    assert _move(bench, begun.op_id) == ["web"]
    (claim,) = _claim_on_n2(bench)
    assert (claim.operation.op_id, claim.takeover) == (begun.op_id, True)


def test_the_services_of_a_group_move_together(bench: Bench) -> None:
    op_id = _local(bench)
    (claim,) = bench.claim(node="n1", owner="n1|b|ns|1|1")
    bench.database.ledger.reserve(claim, ["db"], LEASE)
    bench.now += LEASE + 1
    bench.database.nodes.beat("n2", "boot", "1.0")
    assert _move(bench, op_id) == ["db", "web"]


def test_moving_to_where_it_is_changes_nothing(bench: Bench) -> None:
    op_id = _local(bench)
    _move(bench, op_id)
    assert _move(bench, op_id) == []


def test_a_drained_node_is_left_as_a_lost_one(bench: Bench) -> None:
    bench.database.nodes.beat("n1", "boot", "1.0")
    op_id = _local(bench)
    assert _refused(bench, op_id) == "node-alive"
    bench.database.nodes.drain("n1", ROOT, "")
    assert _move(bench, op_id) == ["web"]


@pytest.mark.parametrize("step", ["swap", "data", "data-back:web", "source:web:s1:postgres"])
def test_what_may_have_changed_files_does_not_move_and_neither_does_what_waits_behind_it(
    bench: Bench, step: str
) -> None:
    begun = _begun_on_n1(bench, "plan", step)
    assert _refused(bench, begun.op_id) == "node-has-files"
    assert _refused(bench, _local(bench)) == "node-has-files"


def test_each_refusal_says_why_and_changes_nothing(bench: Bench) -> None:
    bench.make(SaveService(Service("blog", "acme", "blog", "db/blog", node="n2")))
    assert _refused(bench, bench.accept_one(service="free")) == "not-bound"
    assert _refused(bench, bench.accept_one(node="n1")) == "node-in-message"
    waiting = _local(bench, "db")
    bench.database.nodes.drain("n2", ROOT, "")
    assert _refused(bench, waiting) == "node-drained"
    bench.database.nodes.undrain("n2", ROOT, "")
    assert _refused(bench, waiting) == "directory-taken"
    (claim,) = [one for one in bench.claim(node="n1", owner="n1|b|ns|1|1") if one.operation.service_id == "db"]
    assert _refused(bench, waiting) == "busy"
    bench.fail(claim)
    assert _refused(bench, waiting) == "already-ended"
    with pytest.raises(NotFound):
        _move(bench, "no-such-operation")
    with pytest.raises(NotFound, match="no node n9"):
        _move(bench, _local(bench), "n9")


def test_a_node_that_is_away_is_given_nothing(bench: Bench) -> None:
    op_id = _local(bench)
    bench.now += AWAY_MS + 1
    assert _refused(bench, op_id) == "node-away"


def test_who_wakes_after_the_move_writes_nothing_more(bench: Bench) -> None:
    """I7: nobody has claimed it on the other node yet, and the service must not be changed where it was."""
    op_id = _local(bench)
    (claim,) = bench.claim(node="n1", owner="n1|b|ns|1|1")
    bench.now += LEASE + 1
    bench.database.nodes.beat("n2", "boot", "1.0")
    _move(bench, op_id)
    ledger = bench.database.ledger
    for write in (
        lambda: ledger.renew(claim, LEASE),
        lambda: ledger.intend(claim, 0, "swap", {}, (), LEASE),
        lambda: bench.succeed(claim),
    ):
        with pytest.raises(LeaseLost):
            write()
    (taken,) = bench.claim(node="n2", owner="n2|b|ns|1|1")
    assert taken.operation.op_id == op_id


# ---------------------------------------------------------------- giving up
def test_what_only_a_lost_node_could_finish_becomes_stuck_and_is_told_once(bench: Bench) -> None:
    """I5, I2"""
    begun = _begun_on_n1(bench, "plan", "swap")
    bench.database.moves.give_up(begun.op_id, ROOT, "n1 burnt")
    stuck = bench.get(begun.op_id)
    assert (stuck.state, stuck.error_code) == (State.STUCK, "node-lost")
    assert stuck.outcome is not None
    assert [item["name"] for item in stuck.outcome["items"]] == ["swap"]
    assert "n1 burnt" in stuck.outcome["sentence"]
    assert stuck.outcome["tenant_sentence"] and "n1" not in stuck.outcome["tenant_sentence"]
    assert bench.letters() == ["node-lost"]
    with pytest.raises(Refused):
        bench.database.moves.give_up(begun.op_id, ROOT, "")
    assert bench.database.ledger.resolve_stuck(begun.op_id, "accept", ROOT, "restored") is State.ROLLED_BACK


def test_what_is_given_up_while_it_is_put_back_still_knows_why_it_was(bench: Bench) -> None:
    """A retry that puts it back, once its node is there again, ends with that reason."""
    op_id = _local(bench)
    (claim,) = bench.claim(node="n1", owner="n1|b|ns|1|1")
    bench.database.ledger.intend(claim, 0, "swap", {}, (), LEASE)
    bench.database.ledger.turn_back(claim, Outcome(State.FAILED, "the hook refused", code="hook-refused"))
    bench.now += LEASE + 1
    bench.database.moves.give_up(op_id, ROOT, "")
    stuck = bench.get(op_id)
    assert stuck.error_code == "node-lost"
    reason = reason_of(stuck)
    assert (reason.state, reason.code, reason.sentence) == (State.ROLLED_BACK, "hook-refused", "the hook refused")


def test_a_lost_node_that_comes_back_writes_nothing_to_what_was_given_up(bench: Bench) -> None:
    """I7"""
    op_id = _local(bench)
    (claim,) = bench.claim(node="n1", owner="n1|b|ns|1|1")
    bench.database.ledger.intend(claim, 0, "swap", {}, (), LEASE)
    bench.now += LEASE + 1
    bench.database.moves.give_up(op_id, ROOT, "")
    with pytest.raises(LeaseLost):
        bench.succeed(claim)


def test_only_what_is_lost_is_given_up(bench: Bench) -> None:
    untouched = _begun_on_n1(bench, "plan")
    with pytest.raises(Refused, match="has changed nothing on node n1"):
        bench.database.moves.give_up(untouched.op_id, ROOT, "")
    (claim,) = bench.claim(node="n1", owner="n1|b|ns|1|1")
    bench.database.ledger.intend(claim, 1, "swap", {}, (), LEASE)
    bench.now += LEASE + 1
    bench.database.nodes.beat("n1", "boot", "1.0")
    with pytest.raises(Refused, match="was seen 0 s ago"):
        bench.database.moves.give_up(untouched.op_id, ROOT, "")
