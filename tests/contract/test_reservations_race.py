"""Claiming and reserving in two sessions at once: whoever comes second sees the first, and no service has two holders.

Apart from the other reservations because these stop a session just before its commit and let another one run into it.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from domain.contracts import Claim
from domain.errors import ServiceBusy
from storage.sql.claim import _raise_fences
from storage.sql.tables import operation
from tests.contract.sql_bench import LEASE, Bench
from tests.contract.two_sessions import stopped_before, waits


def test_a_claim_that_meets_an_uncommitted_reservation_leaves_the_service_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7: its SELECT saw a free service; its compare-and-set does not."""
    group = bench.running()
    bench.accept_one("queued", "db")
    bench.accept_one("free", "shop")
    with ThreadPoolExecutor(2) as pool, stopped_before("reserve.before-commit", monkeypatch) as (there, go_on):
        reserving = pool.submit(bench.database.ledger.reserve, group, ["db"], LEASE)
        assert there.wait(30)
        claiming = pool.submit(bench.claim)
        waits(bench, claiming)
        go_on.set()
        reserving.result(30)
        claims = claiming.result(30)
    assert [claim.operation.message_id for claim in claims] == ["free"]
    assert bench.fences()["db"] == (group.fence, group.operation.op_id)


def test_a_reservation_that_meets_an_uncommitted_claim_is_busy(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """I7"""
    group = bench.running()
    bench.accept_one("queued", "db")
    with ThreadPoolExecutor(2) as pool, stopped_before("claim.before-commit", monkeypatch) as (there, go_on):
        claiming = pool.submit(bench.claim)
        assert there.wait(30)
        reserving = pool.submit(bench.database.ledger.reserve, group, ["db"], LEASE)
        waits(bench, reserving)
        go_on.set()
        (claim,) = claiming.result(30)
        with pytest.raises(ServiceBusy):
            reserving.result(30)
    assert bench.fences()["db"] == (claim.fence, "")
    assert group.fence == 1


def test_of_two_groups_that_reserve_at_once_one_holds_all_and_the_other_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7"""
    first, second = bench.running("web"), bench.running("shop")
    with ThreadPoolExecutor(2) as pool, stopped_before("reserve.before-commit", monkeypatch) as (there, go_on):
        one = pool.submit(bench.database.ledger.reserve, first, ["db", "cache"], LEASE)
        assert there.wait(30)
        two = pool.submit(bench.database.ledger.reserve, second, ["cache", "db", "queue"], LEASE)
        waits(bench, two)
        go_on.set()
        one.result(30)
        with pytest.raises(ServiceBusy):
            two.result(30)
    holders = {name: holder for name, (_, holder) in bench.fences().items()}
    assert holders == dict.fromkeys(("web", "db", "cache"), first.operation.op_id) | {"shop": ""}


def test_a_claim_and_a_reservation_at_the_same_time_never_both_win(bench: Bench) -> None:
    """I7, whichever is first."""
    for number in range(20):
        name, barrier = f"db{number}", threading.Barrier(2)
        group = bench.running(f"web{number}")
        bench.accept_one(service=name)

        def reserve(group: Claim = group, name: str = name, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait(30)
            try:
                bench.database.ledger.reserve(group, [name], LEASE)
            except ServiceBusy:
                return False
            return True

        def claim(barrier: threading.Barrier = barrier) -> bool:
            barrier.wait(30)
            return bool(bench.claim())

        with ThreadPoolExecutor(2) as pool:
            reserved, claimed = pool.submit(reserve), pool.submit(claim)
            assert reserved.result(60) is not claimed.result(60)
        for left in [group, *bench.claim()]:
            bench.succeed(left)
        bench.now += LEASE + 1
        for left in bench.claim():
            bench.succeed(left)


def test_a_reservation_is_not_taken_for_that_of_another_operation_in_the_same_batch(bench: Bench) -> None:
    """I7: the holder is taken over in one batch with what a stale SELECT still believed to be free."""
    group = bench.running()
    bench.database.ledger.reserve(group, ["db"], LEASE)
    waits = bench.accept_one("waits", "db")
    with bench.database._engine.begin() as connection:
        rows = connection.execute(select(operation).where(operation.c.op_id.in_([group.operation.op_id, waits]))).all()
        free = _raise_fences(bench.database._tx, connection, rows)
    assert free == {"web"}
    assert {fence for fence, _ in bench.fences().values()} == {group.fence + 2}
