"""The permission table cell by cell: every role, everywhere and in a tenant, for every action. A change here is a
change of who may do what."""

from __future__ import annotations

from pathlib import Path

import pytest

import handlers
from workers.web.access import COMMANDS, EVERYWHERE, LEAST, OF_NO_TENANT, Action, Caller, NotAllowed, Role, action_of

ROOT = Path(__file__).parents[3]
V, O, A = Role.VIEWER, Role.OPERATOR, Role.ADMIN  # noqa: E741 - a table reads better in one column each

#: action: (viewer of the tenant, operator of it, admin of it, viewer everywhere, operator everywhere, admin everywhere)
TABLE = {
    "operations.read": "yes yes yes yes yes yes",
    "operations.cancel": "no  yes yes no  yes yes",
    "operations.retry": "no  yes yes no  yes yes",
    "operations.resolve": "no  no  yes no  no  yes",
    "operations.move": "no  no  no  no  yes yes",
    "operations.give-up": "no  no  no  no  yes yes",
    "services.read": "yes yes yes yes yes yes",
    "services.register": "no  no  no  no  no  yes",
    "services.upgrade": "no  yes yes no  yes yes",
    "services.rollback": "no  yes yes no  yes yes",
    "versions.read": "yes yes yes yes yes yes",
    "versions.publish": "no  no  yes no  no  yes",
    "versions.hold": "no  yes yes no  yes yes",
    "snapshots.read": "yes yes yes yes yes yes",
    "snapshots.create": "no  yes yes no  yes yes",
    "snapshots.verify": "no  yes yes no  yes yes",
    "snapshots.restore": "no  yes yes no  yes yes",
    "snapshots.place": "no  no  no  no  no  yes",
    "snapshots.pin": "no  yes yes no  yes yes",
    "snapshots.export": "no  no  yes no  no  yes",
    "snapshots.import": "no  no  yes no  no  yes",
    "snapshots.delete": "no  no  yes no  no  yes",
    "snapshots.repack": "no  yes yes no  yes yes",
    "retention.apply": "no  no  yes no  no  yes",
    "retention.change": "no  no  yes no  no  yes",
    "schedules.read": "yes yes yes yes yes yes",
    "schedules.change": "no  yes yes no  yes yes",
    "dead-letters.read": "yes yes yes yes yes yes",
    "dead-letters.raw": "no  no  yes no  no  yes",
    "dead-letters.replay": "no  yes yes no  yes yes",
    "dead-letters.edit": "no  no  yes no  no  yes",
    "dead-letters.discard": "no  yes yes no  yes yes",
    "nodes.read": "no  no  no  yes yes yes",
    "nodes.change": "no  no  no  no  yes yes",
    "nodes.forget": "no  no  no  no  no  yes",
    "settings.read": "no  no  no  no  yes yes",
    "audit.read": "no  yes yes no  yes yes",
    "tokens.change": "no  no  no  no  no  yes",
}
COLUMNS = [("acme", V), ("acme", O), ("acme", A), (EVERYWHERE, V), (EVERYWHERE, O), (EVERYWHERE, A)]
CELLS = [
    (Action(action), where, role, cell == "yes")
    for action, row in TABLE.items()
    for (where, role), cell in zip(COLUMNS, row.split(), strict=True)
]


@pytest.mark.parametrize(("action", "where", "role", "allowed"), CELLS)
def test_each_cell_of_the_permission_table(action: Action, where: str, role: Role, allowed: bool) -> None:
    caller = Caller("anna", {where: role})
    assert caller.may(action, "acme") is allowed
    assert caller.may(action, "other") is (allowed and where == EVERYWHERE), "a role in one tenant is none in another"
    assert caller.may(action, None) is (allowed and where == EVERYWHERE), "what is nobody's needs a role everywhere"


def test_the_table_has_a_row_for_every_action_and_no_other() -> None:
    assert set(TABLE) == {action.value for action in Action} == {action.value for action in LEAST}
    assert set(Action) >= OF_NO_TENANT


def test_every_command_that_there_is_has_its_action() -> None:
    assert set(COMMANDS) == set(handlers.subscriptions())


def test_restoring_elsewhere_is_another_action_than_restoring_in_place() -> None:
    assert action_of("restore-snapshot", {"snapshot_id": "x"}) is Action.SNAPSHOTS_RESTORE
    assert action_of("restore-snapshot", {"snapshot_id": "x", "target": {}}) is Action.SNAPSHOTS_RESTORE
    for target in ({"directory": "acme/copy"}, {"node": "n2"}):
        assert action_of("restore-snapshot", {"snapshot_id": "x", "target": target}) is Action.SNAPSHOTS_PLACE


def test_a_schedule_takes_no_less_than_what_it_asks_for() -> None:
    assert action_of("set-schedule", {"kind": "create-snapshot"}) is Action.SCHEDULES_CHANGE
    assert action_of("set-schedule", {"kind": "apply-retention"}) is Action.RETENTION_APPLY


def test_what_is_no_command_cannot_be_given() -> None:
    with pytest.raises(NotAllowed, match="no command that can be given over HTTP"):
        action_of("drop-tables", {})


@pytest.mark.parametrize("action", list(Action))
def test_who_has_no_role_may_do_nothing(action: Action) -> None:
    assert not Caller("nobody", {}).may(action, "acme")


def test_a_role_everywhere_and_another_in_a_tenant_add_up() -> None:
    caller = Caller("anna", {EVERYWHERE: V, "acme": A})
    assert caller.may(Action.SNAPSHOTS_DELETE, "acme")
    assert not caller.may(Action.SNAPSHOTS_DELETE, "other")
    assert caller.may(Action.SNAPSHOTS_READ, "other")


def test_lists_are_of_the_tenants_where_one_may_look() -> None:
    assert Caller("a", {EVERYWHERE: V}).tenants(Action.SNAPSHOTS_READ) is None
    assert Caller("a", {"acme": V, "zeta": O}).tenants(Action.SNAPSHOTS_READ) == ["acme", "zeta"]
    assert Caller("a", {"acme": V, "zeta": O}).tenants(Action.AUDIT_READ) == ["zeta"]
    assert Caller("a", {}).tenants(Action.SNAPSHOTS_READ) == []


def test_a_refusal_says_which_role_it_takes() -> None:
    with pytest.raises(NotAllowed, match=r"snapshots\.delete in tenant acme takes the role admin, which anna has not"):
        Caller("anna", {"acme": O}).require(Action.SNAPSHOTS_DELETE, "acme")


def test_the_page_about_the_api_has_the_table() -> None:
    page = (ROOT / "docs" / "http-api.md").read_text(encoding="utf-8")
    rows = [
        f"| `{action.value}` | {role.value} | {'takes the role everywhere' if action in OF_NO_TENANT else ''} |"
        for action, role in LEAST.items()
    ]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows
