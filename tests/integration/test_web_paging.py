"""Every list of the API that grows with data comes in pages: nothing is skipped, shown twice or another tenant's."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from domain.audit import Actor
from domain.drill import Drill
from domain.outcome import AddSnapshot, Change, Outcome, SaveRecord, SaveService
from domain.schedule import Firing, Schedule
from domain.schedule_changes import SaveDrill, SaveSchedule
from domain.service import Service
from domain.upgrade_record import Status, UpgradeRecord
from tests.contract.sql_bench import snapshot
from tests.site import Site, site

IDS = [f"0192f0c1-0000-7000-8000-00000000000{number}" for number in range(5)]
#: The path, its list, what tells its items apart, and by which parameter one goes on.
LISTS = [
    ("operations", "operations", "operation_id", "before"),
    ("snapshots", "snapshots", "snapshot_id", "before"),
    ("services", "services", "service_id", "after"),
    ("recovery-points", "services", "service_id", "after"),
    ("recovery-points?missed=true", "services", "service_id", "after"),
    ("schedules", "schedules", "name", "after"),
    ("drills", "drills", "operation_id", "before"),
    ("replays", "replays", "replay_id", "before"),
    ("services/s1/history", "changes", "operation_id", "before"),
    ("tenants/acme/schedules/n1/history", "history", "service_id", "before"),
]


def _changes(number: int) -> tuple[Change, ...]:
    """Of one operation: one thing of each kind, in turns of two tenants."""
    name, tenant = f"s{number}", "beta" if number == 2 else "acme"
    record = UpgradeRecord(
        IDS[number], "s1", number, "acme", None, "shop", "rollback" if number % 2 else "upgrade", None, "1", "2",
        Status.UPGRADED, "update", None, None,
    )  # fmt: skip
    return (
        SaveService(Service(name, tenant, name, f"{tenant}/{name}", rpo_seconds=1)),
        AddSnapshot(snapshot(IDS[number], tenant_id=tenant, service_id=name, taken_at=1_000 + number // 2)),
        SaveSchedule(Schedule(tenant, f"n{number}", "create-snapshot", "@daily", service_id=name, next_at=1)),
        SaveDrill(Drill(IDS[number], tenant, name, "", "n1", passed=False, reason="snapshot-not-found")),
        SaveRecord(record),
    )


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("paging") / "data") as opened:
        database, admin = opened.system.database, opened.token("maker", everywhere="admin")
        for number in range(5):
            tenant = "beta" if number == 2 else "acme"
            opened.ask("POST", f"/api/v1/tenants/{tenant}/services/s{number}/create-snapshot", admin, data={})
            database.ledger.settle(opened.claim(), Outcome.succeeded("it is done", changes=_changes(number)))
            by = Actor("anna" if number % 2 else "root", "api")
            database.replays.create(by, [], canary=0, per_minute=0, reason="", selection={})
        planned = database.schedules.get("acme", "n1")
        assert planned is not None
        rows = [Firing(planned.schedule_id, "acme", "n1", f"s{number}", 1, 1) for number in range(5)]
        assert database.schedules.plan(planned, 2, rows, decided_at=2) == 5
        yield opened


@pytest.fixture(scope="module")
def tokens(here: Site) -> dict[str, str]:
    """Of somebody everywhere, somebody in both tenants, and somebody in each."""
    roles = {"root": {"everywhere": "admin"}, "anna": {"acme": "viewer", "beta": "viewer"}}
    roles |= {tenant: {tenant: "viewer"} for tenant in ("acme", "beta")}
    return {name: here.token(name, **given) for name, given in roles.items()}


def _walk(here: Site, token: str, path: str, name: str, key: str, parameter: str) -> list[str]:
    """The keys of all items, read one by one."""
    found: list[str] = []
    address = f"/api/v1/{path}{'&' if '?' in path else '?'}limit=1"
    behind = ""
    while len(found) < 20:
        answer = here.ask("GET", address + behind, token).document
        found += [item[key] for item in answer[name]]
        if answer["next"] is None:
            break
        behind = f"&{parameter}={quote(answer['next'], safe='')}"
    return found


@pytest.mark.parametrize(("path", "name", "key", "parameter"), LISTS)
def test_a_list_read_one_by_one_is_the_list_read_at_once(
    here: Site, tokens: dict[str, str], path: str, name: str, key: str, parameter: str
) -> None:
    counts = []
    for token in (tokens["root"], tokens["anna"]):
        at_once = here.ask("GET", f"/api/v1/{path}", token).document
        assert at_once["next"] is None
        assert _walk(here, token, path, name, key, parameter) == [item[key] for item in at_once[name]]
        assert len({item[key] for item in at_once[name]}) == len(at_once[name])
        counts.append(len(at_once[name]))
    assert counts == ([5, 2] if path == "replays" else [5, 5])


@pytest.mark.parametrize(("path", "name", "key", "parameter"), LISTS[:7])
def test_pages_hold_what_is_of_one_s_own_tenants_and_nothing_else(
    here: Site, tokens: dict[str, str], path: str, name: str, key: str, parameter: str
) -> None:
    """I26."""
    for tenant, many in (("beta", 1), ("acme", 4)):
        assert len(_walk(here, tokens[tenant], path, name, key, parameter)) == many
