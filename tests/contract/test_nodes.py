"""The port `Nodes`: who is there, and what a drain and slots keep a node from beginning."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from domain.audit import Actor
from domain.contracts import Claim
from domain.errors import NotFound, Refused
from domain.node import AWAY_MS, Disk, NodeReport, NodeSeen
from domain.outcome import SaveService
from domain.service import Service
from tests.contract.sql_bench import LEASE, Bench

OWNER = "n1|boot|ns|7|1"
ROOT = Actor("root@ops", "cli")


@pytest.fixture
def bench(database_url: str) -> Iterator[Bench]:
    with Bench.opened(database_url) as opened:
        opened.database.nodes.beat("n1", "boot", "1.0")
        yield opened


def _claim(bench: Bench, limit: int = 9, slots: Mapping[str, int] | None = None, owner: str = OWNER) -> list[Claim]:
    return bench.database.ledger.claim(owner.partition("|")[0], owner, limit, LEASE, slots=slots or {})


def _node(bench: Bench, name: str = "n1") -> NodeSeen:
    found = bench.database.nodes.get(name)
    assert found is not None
    return found


def test_what_a_node_says_of_itself_is_read_as_it_was_said(bench: Bench) -> None:
    said = NodeReport(2, 4, {"create-snapshot": 1}, {"up": 9}, {"apps": Disk("/apps", 5, 10)}, "low", bench.now + 7)
    assert bench.database.nodes.beat("n1", "boot", "1.1", said) is False
    found = _node(bench)
    assert (found.report, found.skew_ms, found.standing) == (said, 7, "ready")


def test_a_node_that_has_not_been_seen_for_a_minute_is_away(bench: Bench) -> None:
    bench.now += AWAY_MS + 1
    assert _node(bench).standing == "away"


# ---------------------------------------------------------------- draining
def test_a_drained_node_begins_nothing_and_ends_what_it_has_begun(bench: Bench) -> None:
    """I24"""
    bench.accept_one("begun", node="n1")
    (claim,) = _claim(bench)
    bench.database.ledger.retry_later(claim, 1_000, "store-unavailable", "the store did not answer")
    bench.accept_one("bound", "other", node="n1")
    bench.accept_one("free", "third")
    drained = bench.database.nodes.drain("n1", ROOT, "new disk")
    assert (drained.standing, drained.drained_by, drained.drain_reason) == ("draining", "root@ops", "new disk")
    assert (drained.begun, drained.bound) == (1, 2)
    bench.now += 2_000
    (again,) = _claim(bench)
    assert again.operation.message_id == "begun"
    bench.succeed(again)
    assert _claim(bench) == []
    assert _node(bench).standing == "drained"
    assert bench.database.nodes.beat("n1", "boot", "1.0") is True


def test_a_drained_node_ends_what_only_it_has_begun_and_takes_over_nobody_else_s(bench: Bench) -> None:
    bench.accept_one("mine", "a")
    (mine,) = _claim(bench)
    bench.accept_one("other's", "b")
    (theirs,) = _claim(bench, owner="n2|boot|ns|7|1")
    for claim in (mine, theirs):
        bench.database.ledger.retry_later(claim, 0, "busy", "not now")
    bench.database.nodes.drain("n1", ROOT, "")
    assert [claim.operation.message_id for claim in _claim(bench)] == ["mine"]


def test_a_cancel_is_taken_by_a_drained_node_too(bench: Bench) -> None:
    bench.accept_one("cancel", kind="cancel-operation", exclusive=False)
    bench.database.nodes.drain("n1", ROOT, "")
    assert len(_claim(bench)) == 1


def test_other_nodes_do_what_a_drained_one_leaves(bench: Bench) -> None:
    bench.accept_one()
    bench.database.nodes.drain("n1", ROOT, "")
    assert _claim(bench) == []
    assert len(_claim(bench, owner="n2|boot|ns|7|1")) == 1


def test_undraining_lets_it_work_again_and_both_may_be_repeated(bench: Bench) -> None:
    bench.accept_one()
    bench.database.nodes.drain("n1", Actor("first@ops", "cli"), "one")
    assert bench.database.nodes.drain("n1", Actor("second@ops", "cli"), "two").drained_by == "first@ops"
    for _ in range(2):
        assert bench.database.nodes.undrain("n1", ROOT, "").standing == "ready"
    assert len(_claim(bench)) == 1


@pytest.mark.parametrize("act", ["drain", "undrain", "forget"])
def test_a_node_that_nobody_has_seen_is_not_found(bench: Bench, act: str) -> None:
    with pytest.raises(NotFound, match="no node n7"):
        getattr(bench.database.nodes, act)("n7", ROOT, "")


# ---------------------------------------------------------------- forgetting
def test_only_a_node_that_is_gone_and_not_needed_is_forgotten(bench: Bench) -> None:
    forget = bench.database.nodes.forget
    with pytest.raises(Refused, match="was seen 0 s ago") as alive:
        forget("n1", ROOT, "")
    assert alive.value.code == "busy"
    bench.make(SaveService(Service("web", "acme", "web", "web", node="n1")))
    bench.accept_one("waits", "db", node="n1")
    bench.now += AWAY_MS + 1
    with pytest.raises(Refused, match="1 services live on node n1, and 1 unfinished"):
        forget("n1", ROOT, "")
    bench.succeed(_claim(bench)[0])
    bench.make(SaveService(Service("web", "acme", "web", "web", node="n2")))
    forget("n1", ROOT, "")
    assert bench.database.nodes.list() == []
    bench.database.nodes.beat("n1", "boot", "1.0")
    assert _node(bench).standing == "ready"


# ---------------------------------------------------------------- slots
def test_no_more_of_a_kind_run_on_a_node_than_it_has_slots_for(bench: Bench) -> None:
    for number in range(3):
        bench.accept_one(f"take-{number}", f"s{number}")
    bench.accept_one("verify", "s4", kind="verify-snapshot", exclusive=False)
    slots = {"create-snapshot": 2}
    first = _claim(bench, slots=slots)
    assert [claim.operation.message_id for claim in first] == ["take-0", "take-1", "verify"]
    assert _claim(bench, slots=slots, owner="n1|boot|ns|8|1") == [], "another process of the same node"
    bench.succeed(first[0])
    assert [claim.operation.message_id for claim in _claim(bench, slots=slots)] == ["take-2"]


def test_slots_for_all_kinds_together_leave_room_for_a_cancel_only(bench: Bench) -> None:
    for number in range(3):
        bench.accept_one(f"take-{number}", f"s{number}")
    assert len(_claim(bench, slots={"all": 2}, limit=2)) == 2
    bench.accept_one("cancel", "s9", kind="cancel-operation", exclusive=False)
    assert [claim.operation.message_id for claim in _claim(bench, slots={"all": 2})] == ["cancel"]


def test_another_node_s_work_takes_no_slot_and_neither_does_a_lease_that_has_ended(bench: Bench) -> None:
    for number in range(3):
        bench.accept_one(f"take-{number}", f"s{number}")
    assert len(_claim(bench, 1, owner="n2|boot|ns|7|1")) == 1
    assert len(_claim(bench, 1, slots={"create-snapshot": 1})) == 1
    bench.now += LEASE + 1
    (claim,) = _claim(bench, 1, slots={"create-snapshot": 1})
    assert claim.takeover


def test_a_full_kind_does_not_hide_what_is_behind_it(bench: Bench) -> None:
    for number in range(5):
        bench.accept_one(f"take-{number}", f"s{number}")
    bench.accept_one("restore", "s9", kind="restore-snapshot")
    slots = {"create-snapshot": 1}
    assert len(_claim(bench, 1, slots=slots)) == 1
    assert [claim.operation.message_id for claim in _claim(bench, 1, slots=slots)] == ["restore"]


def test_what_waits_for_a_slot_says_so(bench: Bench) -> None:
    bench.database.nodes.beat("n1", "boot", "1.0", NodeReport(slots={"create-snapshot": 1}))
    for number in range(2):
        bench.accept_one(f"take-{number}", f"s{number}", node="n1")
    assert len(_claim(bench, slots={"create-snapshot": 1})) == 1
    (waiting,) = bench.database.list_operations(service_id="s1")
    assert bench.database.waits_for(waiting) == "a free slot for create-snapshot on node n1: 1 of 1 are taken"


def test_processes_of_a_node_that_claim_at_once_never_take_more_than_the_slots(bench: Bench) -> None:
    """I24"""
    for number in range(12):
        bench.accept_one(f"take-{number}", f"s{number}")
    barrier = threading.Barrier(4)

    def process(pid: int) -> int:
        barrier.wait()
        return sum(len(_claim(bench, 1, {"create-snapshot": 2}, f"n1|boot|ns|{pid}|1")) for _ in range(4))

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(process, range(4))) == 2
    assert _node(bench).running == 2


def test_once_a_drain_has_returned_no_claim_begins_that_it_did_not_see(bench: Bench) -> None:
    """I24"""
    for number in range(60):
        bench.accept_one(f"take-{number}", f"s{number}")
    begun, drained = threading.Semaphore(0), threading.Event()

    def process(pid: int) -> int:
        late = 0
        for _ in range(12):
            was_drained = drained.is_set()
            taken = len(_claim(bench, 1, owner=f"n1|boot|ns|{pid}|1"))
            late += taken if was_drained else 0
            begun.release(taken) if taken else None
        return late

    with ThreadPoolExecutor(3) as pool:
        racing = [pool.submit(process, pid) for pid in range(3)]
        begun.acquire()
        at_return = bench.database.nodes.drain("n1", ROOT, "").running
        drained.set()
        assert [one.result() for one in racing] == [0, 0, 0]
    assert _node(bench).running == at_return
