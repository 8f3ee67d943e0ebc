"""The port `Ledger` under a flood: tenants and kinds take turns, and nothing that waits hides what is ready (I27)."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import event

from domain import failpoint
from domain.contracts import Claim
from tests.contract.sql_bench import LEASE, Bench, accepted

FLOOD = 1_000


def _flood(
    bench: Bench, name: str = "flood", *, services: int = FLOOD, count: int = FLOOD, kind: str = "create-snapshot"
) -> None:
    """Commands of one tenant, spread over its services."""
    bench.accept(*[accepted(f"{name}-{n}", f"{name}-{n % services}", tenant=name, kind=kind) for n in range(count)])


def _taken(bench: Bench, claims: int, limit: int = 1) -> list[Claim]:
    return [claim for _ in range(claims) for claim in bench.claim(limit=limit)]


def test_a_command_after_a_flood_of_another_tenant_is_begun_with_the_next_free_slot(bench: Bench) -> None:
    _flood(bench)
    _taken(bench, 3)
    bench.accept_one("small", "s", tenant="small")
    (claim,) = _taken(bench, 1)
    assert claim.operation.message_id == "small"


def test_a_command_after_a_flood_of_another_kind_of_its_tenant_is_begun_with_the_next_free_slot(bench: Bench) -> None:
    _flood(bench)
    _taken(bench, 3)
    bench.accept_one("back", "other", tenant="flood", kind="rollback")
    (claim,) = _taken(bench, 1)
    assert claim.operation.message_id == "back"


def test_one_claim_of_several_takes_from_everybody_who_waits(bench: Bench) -> None:
    for tenant in ("a", "b", "c"):
        _flood(bench, tenant, count=8)
    assert Counter(claim.operation.tenant_id for claim in _taken(bench, 1, limit=6)) == {"a": 2, "b": 2, "c": 2}


def test_every_tenant_gets_as_many_turns_as_every_other_however_much_or_how_many_kinds_it_asks_for(
    bench: Bench,
) -> None:
    _flood(bench, "a", kind="create-snapshot")
    bench.accept(*[accepted(f"a-{kind}", f"x-{kind}", tenant="a", kind=kind) for kind in ("rollback", "restore")])
    for tenant in ("b", "c"):
        _flood(bench, tenant, count=10)
    turns = [claim.operation.tenant_id for claim in _taken(bench, 9)]
    assert Counter(turns) == {"a": 3, "b": 3, "c": 3}
    assert all(set(turns[n : n + 3]) == {"a", "b", "c"} for n in (0, 3, 6))


def test_within_a_tenant_its_kinds_take_turns(bench: Bench) -> None:
    _flood(bench, kind="create-snapshot", count=20)
    bench.accept(*[accepted(f"v{n}", f"v{n}", tenant="flood", kind="restore") for n in range(20)])
    assert Counter(claim.operation.kind for claim in _taken(bench, 8)) == {"create-snapshot": 4, "restore": 4}


def test_what_a_slot_forbids_is_passed_over_and_its_tenant_loses_no_turn(bench: Bench) -> None:
    _flood(bench, "a", count=10)
    _flood(bench, "b", kind="restore", count=10)
    claim = bench.database.ledger.claim
    slots = {"create-snapshot": 1}
    kinds = [claim("n1", f"n1|{n}", 1, LEASE, slots=slots)[0].operation.kind for n in range(4)]
    assert Counter(kinds) == {"create-snapshot": 1, "restore": 3}


def test_a_thousand_commands_that_wait_for_one_service_hide_nobody_behind_them(bench: Bench) -> None:
    _flood(bench, services=1)
    _taken(bench, 1)
    bench.accept_one("behind", "another", tenant="flood")
    (claim,) = _taken(bench, 1)
    assert claim.operation.message_id == "behind"
    assert _taken(bench, 1) == []


def test_a_cancel_after_a_flood_is_found_for_the_spare_slot(bench: Bench) -> None:
    _flood(bench)
    bench.accept_one("stop", "flood-0", tenant="flood", kind="cancel-operation", exclusive=False)
    (claim,) = bench.database.ledger.claim("n1", "n1|1", 1, LEASE, cancels_only=True)
    assert claim.operation.message_id == "stop"


def test_every_command_of_a_flood_is_begun_once_and_each_service_in_its_order(bench: Bench) -> None:
    """I7"""
    for tenant in ("a", "b"):
        _flood(bench, tenant, count=60, services=7)
    begun: list[str] = []
    while claims := bench.claim(limit=5):
        begun += [claim.operation.message_id for claim in claims]
        for claim in claims:
            bench.succeed(claim)
    assert sorted(begun) == sorted(f"{tenant}-{n}" for tenant in ("a", "b") for n in range(60))
    for tenant in ("a", "b"):
        for service in range(7):
            of_service = [name for name in begun if name in {f"{tenant}-{n}" for n in range(service, 60, 7)}]
            assert of_service == [f"{tenant}-{n}" for n in range(service, 60, 7)]


def test_among_many_tenants_everybody_comes_once_in_a_round_and_it_is_not_looked_for_each_who_waits(
    bench: Bench,
) -> None:
    bench.accept(*[accepted(f"{t}-{n}", f"{t}-{n}", tenant=f"t{t}") for t in range(40) for n in range(3)])
    looked = 0

    @event.listens_for(bench.database._engine, "before_cursor_execute")
    def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        nonlocal looked
        looked += "RECURSIVE" in statement

    turns = [claim.operation.tenant_id for claim in _taken(bench, 80)]
    assert len(set(turns[:40])) == len(set(turns[40:])) == 40
    assert looked <= 40 + 3  # every second claim begins with what is bound to the node, and finds nothing


def test_who_comes_during_a_round_has_its_turn_after_it_or_a_second_later(bench: Bench) -> None:
    bench.accept(*[accepted(f"{t}-{n}", f"{t}-{n}", tenant=f"t{t}") for t in range(20) for n in range(3)])
    _taken(bench, 22)
    bench.accept_one("new", "new", tenant="new")
    assert [claim.operation.message_id for claim in _taken(bench, 1)] == ["2-1"]
    bench.now += 1000
    assert [claim.operation.message_id for claim in _taken(bench, 1)] == ["new"]


def test_two_nodes_that_claim_at_once_both_find_work(fresh_postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one has looked at and not taken is not hidden from the other, which would rest beside work."""
    with Bench.opened(fresh_postgres_url) as bench:
        for tenant in ("a", "b", "c", "d"):
            _flood(bench, tenant, count=2)
        other: list[int] = []

        def claims_too(name: str) -> None:
            if name == "claim.before-commit" and not other:
                other.append(0)
                other.append(len(bench.claim(limit=4, node="n2", owner="n2:1")))

        monkeypatch.setattr(failpoint, "hook", claims_too)
        assert len(bench.claim(limit=4)) == 4
        assert other == [0, 4]


def test_one_who_has_more_than_his_share_fills_what_others_leave(bench: Bench) -> None:
    for tenant, count in (("a", 1), ("b", 9)):
        _flood(bench, tenant, count=count)
    assert Counter(claim.operation.tenant_id for claim in _taken(bench, 1, limit=6)) == {"a": 1, "b": 5}
