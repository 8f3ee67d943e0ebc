"""Tenants apart: no command and no question of one reaches what belongs to another, whatever it names.

Every command is in the table, and a new one that is not fails a test. What belongs to the victim is compared row by
row and file by file, and the attacker knows all of the victim's names and ids.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import handlers
from domain.letters import LetterFilter
from domain.operation import Operation, State
from storage.sql.tables import metadata
from tests.acceptance.platform import Platform, digest, grow
from tests.command_line import CommandLine, all_commands

OWNER, THIEF, BYSTANDER = "acme", "evil", "nobody"
VERSION = {"services": {"web-key": {"image": "shop:2", "group_key": "shop", "version": "v2"}}}
SCHEDULE = {"kind": "create-snapshot", "service": "web", "cron": "@daily"}
#: What every operation leaves behind, whoever asked for it.
TRACES = {"operation", "step", "outbox", "dead_letter", "node", "service_fence", "scheduler", "audit", "garbage"}
ANSWERED = {"wrong-tenant", "snapshot-not-found", "operation-not-found", "service-not-found", "place-denied"}

Data = Callable[["Victim"], dict[str, Any]]


class Victim:
    """What the owner has, and the thief knows of."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        configuration = {
            "group": "g", "group_key": "shop", "version": "v1", "service_key": "web-key", "image": "shop:1",
            "envs": [{"name": "PASSWORD", "value": "victims-own", "secret": True}],
        }  # fmt: skip
        self.tree = platform.service("web", region="default", configuration=configuration)
        self.snapshot = platform.snapshot("web", "owner:42").snapshot_id
        record = platform.run("export-record", {"snapshot_id": self.snapshot}, service="web")
        assert record.outcome is not None
        self.record = record.outcome["figures"]["record"]
        self._own("publish-version", {"group_key": "shop", "version": "v2", "template": VERSION})
        self._own("set-retention", {"policy": {"last": 3}})
        self._own("set-rpo", {"goal_seconds": 86_400})
        self._own("set-schedule", SCHEDULE, service="nightly")
        self._own("export-snapshot", {"snapshot_id": self.snapshot})
        waiting = platform.publish("register-service", {"node": "web-9"}, service="far")
        platform.run("hold-version", {"group_key": "shop", "version": "v0"}, service="web")
        found = platform.find(waiting)
        assert found is not None and found.state is State.QUEUED
        self.waiting = found.op_id
        grow(platform.apps("web-1") / "thiefs-own", seed=9)
        assert self.steal("register-service", {}, "thiefs-own").state is State.SUCCEEDED
        # A dead letter of the owner's, for the questions about those.
        assert self.platform.run("rollback", {}, service="web").state is State.FAILED

    def _own(self, kind: str, data: dict[str, Any], service: str = "web") -> None:
        found = self.platform.run(kind, data, service=service)
        assert found.state is State.SUCCEEDED, (kind, found.outcome)

    def state(self) -> dict[str, Any]:
        """All that is the owner's: rows, the state of the operation that waits, files and objects."""
        engine = sa.create_engine(self.platform.system.settings.database_url)
        rows: dict[str, Any] = {}
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                if table.name not in TRACES:
                    found = sa.select(table)
                    if "tenant_id" in table.c:
                        found = found.where(table.c.tenant_id != THIEF)
                    rows[table.name] = sorted(map(repr, connection.execute(found)))
        engine.dispose()
        waiting = self.platform.system.database.ledger.get(self.waiting)
        assert waiting is not None
        objects = [info.key for info in self.platform.system.store.list(f"tenants/{OWNER}/")]
        return rows | {"waiting": waiting.state, "tree": digest(self.tree), "objects": sorted(objects)}

    def steal(self, kind: str, data: dict[str, Any], service: str) -> Operation:
        """A command of the thief's."""
        return self.platform.run(kind, data, service=service, tenant=THIEF)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    platform = Platform(tmp_path_factory.mktemp("tenants"), BACKSTAY_REGION_URL="http://127.0.0.1:9")
    platform.start("web-1")
    yield Victim(platform)
    platform.close()


def _nothing(victim: Victim) -> dict[str, Any]:
    return {}


def _snapshot(victim: Victim) -> dict[str, Any]:
    return {"snapshot_id": victim.snapshot}


#: Command -> the ways to reach for what is not one's own: the subject's service, and what the data name.
REACHES: dict[str, list[tuple[str, Data]]] = {
    "apply-retention": [("web", lambda v: {"policy": {"last": 1}})],
    "cancel-operation": [("web", lambda v: {"operation_id": v.waiting}), ("thiefs-own", lambda v: {
        "operation_id": v.waiting})],
    "create-snapshot": [("web", _nothing)],
    "delete-snapshot": [("web", _snapshot), ("thiefs-own", _snapshot)],
    "export-record": [("web", _snapshot), ("thiefs-own", _snapshot)],
    "export-snapshot": [("web", _snapshot), ("thiefs-own", _snapshot)],
    "hold-version": [("web", lambda v: {"group_key": "shop", "version": "v2"}), ("web", lambda v: {
        "group_key": "shop", "version": "v0", "hold": False})],
    "import-record": [("web", lambda v: {"record": v.record}), ("thiefs-own", lambda v: {"record": v.record})],
    "import-snapshot": [("web", lambda v: {"place": "old", "keys": ["a.tar"]})],
    "pin-snapshot": [("web", _snapshot), ("thiefs-own", _snapshot)],
    "register-service": [("web", lambda v: {"directory": "elsewhere"}), ("new", lambda v: {"directory": "web"})],
    "repack-service": [("web", _nothing)],
    "restore-drill": [("web", _nothing), ("thiefs-own", _snapshot)],
    "restore-snapshot": [("web", _snapshot), ("thiefs-own", _snapshot)],
    "rollback": [("web", _nothing)],
    "set-retention": [("web", _nothing)],
    "set-rpo": [("web", _nothing)],
    "set-schedule": [("reach", lambda v: SCHEDULE)],
    "upgrade-service": [("web", lambda v: {"version": "v2"})],
    "verify-snapshot": [("web", _snapshot), ("thiefs-own", _snapshot)],
}  # fmt: skip
#: Questions that take more than a tenant, count only, or are about what this owner has none of; the routes of the
#: API, which answer the same ones, are asked in tests/integration/test_web_tenants.py.
SILENT = {"audit list", "drills list", *(f"dead-letters {one}" for one in ("discard", "groups", "plan", "replay"))}
#: Names of these are a tenant's own: the same name of another tenant is another thing, and stays as it is.
OWN_NAMES: dict[str, tuple[str, Data]] = {
    "publish-version": ("web", lambda v: {"group_key": "shop", "version": "v2", "template": {"services": {}}}),
    "pause-schedule": ("nightly", lambda v: {"reason": "mischief"}),
    "remove-schedule": ("nightly", lambda v: {"reason": "mischief"}),
}


def test_every_command_has_its_line() -> None:
    assert REACHES.keys() | OWN_NAMES.keys() == handlers.subscriptions().keys()


@pytest.mark.parametrize(
    ("kind", "service", "data"),
    [(kind, service, data) for kind, ways in REACHES.items() for service, data in ways],
    ids=[f"{kind}-{number}" for kind, ways in REACHES.items() for number, _ in enumerate(ways)],
)
def test_what_belongs_to_another_tenant_is_refused_and_stays(
    victim: Victim, kind: str, service: str, data: Data
) -> None:
    """I26, RS-22: knowing an id is not owning it."""
    before = victim.state()
    operation = victim.steal(kind, data(victim), service)
    assert operation.state is State.FAILED, (operation.state, operation.outcome)
    assert operation.error_code in ANSWERED | {"directory-taken"}, operation.outcome
    assert victim.state() == before


@pytest.mark.parametrize("kind", OWN_NAMES)
def test_a_name_of_another_tenant_is_not_its_thing(victim: Victim, kind: str) -> None:
    """I26."""
    service, data = OWN_NAMES[kind]
    before = victim.state()
    victim.steal(kind, data(victim), service)
    assert victim.state() == before


def test_a_schedule_about_every_service_is_about_the_tenant_s_own(victim: Victim) -> None:
    """I26: what it asks for names the thief's services only."""
    everything = {"kind": "create-snapshot", "cron": "@daily"}
    assert victim.steal("set-schedule", everything, "all").state is State.SUCCEEDED
    (mine,) = [row for row in victim.platform.system.database.schedules.list(THIEF) if row.name == "all"]
    assert mine.tenant_id == THIEF and not mine.service_id


# ---------------------------------------------------------------- questions
def _of_one_tenant() -> list[tuple[str, ...]]:
    """Every command that can be asked about one tenant and needs nothing else."""
    found = []
    for path, command in all_commands():
        names = {option for parameter in command.params for option in parameter.opts}
        needed = [parameter for parameter in command.params if parameter.required and "--tenant" not in parameter.opts]
        if {"--tenant", "--json"} <= names and "--yes" not in names and not needed:
            found.append(tuple(path.split()))
    return found


def test_a_question_about_one_tenant_is_answered_with_nothing_of_another(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I26: lists and figures; the same question about the owner does find it. The other one is a bystander: what a
    thief has asked for, with the ids that it knew, stands in its own operations."""
    line = CommandLine(victim.platform.home, monkeypatch)
    asked, told = _of_one_tenant(), set[str]()
    assert len(asked) >= 4, asked
    for path in asked:
        theirs = line.run(*path, "--tenant", BYSTANDER, "--json")
        owners = line.run(*path, "--tenant", OWNER, "--json")
        for mark in (victim.snapshot, victim.waiting, "victims-own", f'"{OWNER}"', f"tenant/{OWNER}/", "nightly"):
            assert mark not in theirs.out, f"backstay {' '.join(path)} tells {mark}"
            told |= {" ".join(path)} if mark in owners.out else set()
    line.system.close()
    silent = {" ".join(path) for path in asked} - told
    assert silent <= SILENT, "the marks are found nowhere, so that nothing was tested"


#: Commands that take a tenant and something besides. What they publish is a command, whose line is above.
PUBLISH = {"schedules set", "schedules pause", "schedules resume", "schedules remove", "versions publish",
           "snapshots import-rosti"}  # fmt: skip
BY_NAME: dict[str, Callable[[Victim], tuple[str, ...]]] = {
    "snapshots link": lambda v: (v.snapshot,),
    "schedules show": lambda v: ("nightly",),
    "schedules history": lambda v: ("nightly",),
}
#: An operator's act on the tenant itself.
ON_A_TENANT = {"keys destroy"}


def test_every_command_that_takes_a_tenant_is_asked_about_another() -> None:
    """I26: a new one without a line fails here."""
    taking = {path for path, command in all_commands() if any("--tenant" in one.opts for one in command.params)}
    assert taking == {" ".join(path) for path in _of_one_tenant()} | PUBLISH | BY_NAME.keys() | ON_A_TENANT


@pytest.mark.parametrize("command", BY_NAME)
def test_what_is_asked_for_by_name_is_not_told_of_another_tenant(
    victim: Victim, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """I26."""
    line = CommandLine(victim.platform.home, monkeypatch)
    words = (*command.split(), *BY_NAME[command](victim))
    theirs, owners = (line.run(*words, "--tenant", tenant, "--json") for tenant in (BYSTANDER, OWNER))
    line.system.close()
    assert owners.code == 0, owners.err
    assert theirs.code != 0 or not any(theirs.document().values()), theirs.out


def _queries(database: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every question of the ports over SQL that takes a tenant."""
    homes = {"": database} | {name: getattr(database, name) for name in dir(database) if not name.startswith("_")}
    for home, port in homes.items():
        for name in (name for name in dir(port) if not name.startswith("_")):
            method = getattr(port, name)
            if inspect.ismethod(method) and _takes_tenant(method):
                yield f"{home}.{name}".strip("."), method


def _takes_tenant(method: Callable[..., Any]) -> bool:
    return any("tenant" in name or "LetterFilter" in str(given) for name, given in _parameters(method).items())


def _parameters(method: Callable[..., Any]) -> dict[str, Any]:
    return {name: one.annotation for name, one in inspect.signature(method).parameters.items()}


def test_every_query_about_one_tenant_finds_nothing_of_another(victim: Victim) -> None:
    """I26: the queries are read from the ports; one with a parameter of an unknown name fails here."""
    told, asked = set[str](), dict(_queries(victim.platform.system.database))
    assert len(asked) >= 15
    marks = (victim.snapshot, victim.waiting, repr(OWNER), f"tenant/{OWNER}/", "nightly", "victims-own")
    for query, method in asked.items():
        theirs, owners = (repr(method(**_given(method, tenant))) for tenant in (BYSTANDER, OWNER))
        assert not [mark for mark in marks if mark in theirs], query
        told |= {query} if theirs != owners else set()
    assert asked.keys() - told <= {"audit.list", "drills.list", "schedules.history"}, "of these the owner has none"


def _given(method: Callable[..., Any], tenant: str) -> dict[str, Any]:
    known = {
        "tenant_id": tenant, "tenant_ids": [tenant], "wanted": LetterFilter(tenant_id=tenant), "service_ids": [],
        "labels": [], "limit": 100, "before": None, "after": None, "name": "nightly", "group_id": "g",
        "group_key": "shop", "number": "v2", "resolved": False, "service_id": None,
    }  # fmt: skip
    needed = [name for name, one in inspect.signature(method).parameters.items() if one.default is one.empty]
    return {name: known[name] for name in _parameters(method) if name in needed or "tenant" in name or name == "wanted"}


def test_a_link_to_an_archive_of_another_tenant_is_not_given(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """RS-18, RS-22."""
    line = CommandLine(victim.platform.home, monkeypatch)
    answer = line.run("snapshots", "link", victim.snapshot, "--tenant", THIEF, "--json")
    line.system.close()
    assert answer.code != 0
    assert json.loads(answer.out or answer.err)["error"]["code"] == "wrong-tenant"


def test_no_secret_of_the_owner_is_in_what_the_thief_was_told(victim: Victim, tmp_path: Path) -> None:
    """I18, I26: outcomes and dead letters of all that was tried above."""
    database = victim.platform.system.database
    for operation in database.list_operations(tenant_id=THIEF, limit=1000):
        assert "victims-own" not in json.dumps(operation.outcome)
    for letter in database.dead_letters.list(resolved=False, limit=1000, before=None):
        assert "victims-own" not in repr(letter)
