"""What people and metrics ask of the database: lists, figures, and why an operation is waiting."""

from __future__ import annotations

from sqlalchemy import text

from domain.operation import State
from domain.outcome import Outcome, SaveService
from domain.service import Service
from tests.contract.sql_bench import Bench, accepted


def test_operations_are_listed_newest_first_page_by_page_without_data(bench: Bench) -> None:
    bench.accept(*[accepted(f"m{n}", data={"secret": "x"}) for n in range(3)])
    page = bench.database.list_operations(limit=2)
    rest = bench.database.list_operations(limit=2, before=page[-1].op_id)
    assert [one.message_id for one in page + rest] == ["m2", "m1", "m0"]
    assert all(one.data == {} for one in page)


def test_pages_of_services_cover_those_of_the_tenants_once_whatever_their_ids_are(bench: Bench) -> None:
    """Signs and digits, which collations of databases order differently from bytes."""
    names = ("a-b", "a.b", "a1", "a_b", "ab", "z")
    bench.make(*(SaveService(Service(name, "beta" if name == "z" else "acme", name, name)) for name in names))
    services = bench.database.services
    seen: list[str] = []
    while page := services.page(["acme"], 2, seen[-1] if seen else None):
        assert len(page) <= 2 and all(service.document == {} for service in page)
        seen += [service.service_id for service in page]
    assert sorted(seen) == sorted(set(names) - {"z"}) and len(seen) == 5
    assert [one.service_id for one in services.page(None, 10, "zz")] == [] and len(services.page(None, 10, None)) == 6
    assert services.page([], 10, None) == []


def test_operations_are_listed_by_tenant_service_state_and_kind(bench: Bench) -> None:
    bench.accept(accepted("m1", "a"), accepted("m2", "b", tenant="other"), accepted("m3", "c", kind="delete-snapshot"))
    claim = bench.claim(limit=1)[0]
    bench.succeed(claim)

    def listed(**wanted: object) -> list[str]:
        return [one.message_id for one in bench.database.list_operations(**wanted)]  # type: ignore[arg-type]

    assert listed(tenant_id="other") == ["m2"]
    assert listed(service_id="c") == ["m3"]
    assert listed(states=[State.SUCCEEDED]) == ["m1"]
    assert listed(states=[State.QUEUED, State.RUNNING]) == ["m3", "m2"]
    assert listed(kinds=["delete-snapshot"]) == ["m3"]


def test_an_operation_is_found_by_its_message(bench: Bench) -> None:
    op_id = bench.accept_one("m1")
    found = bench.database.find_by_message("/console", "m1")
    assert found is not None and found.op_id == op_id
    assert bench.database.find_by_message("/console", "m2") is None


def test_figures_count_what_is_there(bench: Bench) -> None:
    bench.accept(accepted("m1", "a"), accepted("m2", "b"), accepted("m3", "c"))
    bench.fail(bench.claim(limit=1)[0])
    bench.claim(limit=1)
    bench.now += 5_000
    assert bench.database.counts() == {
        "operations": {
            ("create-snapshot", "FAILED"): 1,
            ("create-snapshot", "RUNNING"): 1,
            ("create-snapshot", "QUEUED"): 1,
        },
        "ready": 1,
        "oldest_queued_age": 5_000,
        "dead_letters": 1,
        "outbox_waiting": 1,
        "outbox_oldest_age": 5_000,
    }


def _waits(bench: Bench, op_id: str) -> str:
    return bench.database.waits_for(bench.get(op_id))


def test_what_waits_says_for_what(bench: Bench) -> None:
    free = bench.accept_one(service="free")
    bound = bench.accept_one(service="bound", node="n9")
    assert _waits(bench, free) == "a free worker on any node"
    assert _waits(bench, bound) == (
        f"a worker on node n9, which is not known: start one there, or `backstay operations move {bound} --to NODE` "
        "gives it to another node"
    )
    bench.database.nodes.beat("n9", "boot", "1")
    bench.now += 7_000
    assert _waits(bench, bound) == "a free worker on node n9, last seen 7 s ago"


def test_what_waits_behind_another_operation_names_it(bench: Bench) -> None:
    first, second = bench.accept_one(), bench.accept_one()
    assert _waits(bench, second) == f"operation {first} of the same service (create-snapshot, QUEUED)"
    claim = bench.claim_one(owner="n1:7")
    assert _waits(bench, first) == "its worker n1:7, which holds it for 60 s more"
    bench.database.ledger.settle(claim, Outcome(State.STUCK, "no way back"))
    assert _waits(bench, second).endswith("STUCK), which needs a person")
    assert _waits(bench, first).startswith("a person")


def test_what_waits_for_its_retry_says_why(bench: Bench) -> None:
    claim = bench.running()
    bench.database.ledger.retry_later(claim, 9_000, "store-unavailable", "the store did not answer")
    assert _waits(bench, claim.operation.op_id) == "its next attempt in 9 s (the store did not answer)"


def test_what_only_a_later_release_understands_waits_for_one_and_is_not_taken(bench: Bench) -> None:
    op_id = bench.accept_one()
    with bench.database._engine.begin() as connection:
        connection.execute(text("UPDATE operation SET edition = edition + 8"))
    assert bench.claim() == []
    assert _waits(bench, op_id).startswith("a node of a later release")


def test_what_has_ended_waits_for_nothing(bench: Bench) -> None:
    claim = bench.running()
    bench.succeed(claim)
    assert _waits(bench, claim.operation.op_id) == "nothing: it has ended, SUCCEEDED"
