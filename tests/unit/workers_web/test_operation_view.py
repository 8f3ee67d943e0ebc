"""What a page shows of an operation, and which decisions it offers to whom."""

from __future__ import annotations

import pytest

from domain.operation import Operation, State, Step, StepState
from workers.web.access import EVERYWHERE, Caller, Role
from workers.web.pages.deciding import Places, decisions
from workers.web.pages.operation_view import facts, row, view

CANARY = "secret-canary-5512"


def operation(state: State, **outcome: object) -> Operation:
    return Operation(
        seq=1, op_id="op-1", source="/test", message_id="m-1", kind="upgrade-service", tenant_id="acme",
        service_id="web", state=state, data={"version": CANARY, "configuration": {"env": CANARY}},
        outcome=outcome or None, error_code="store-unavailable",
    )  # fmt: skip


def caller(role: Role, tenant: str = "acme") -> Caller:
    return Caller("somebody", {tenant: role}, "console", "token")


def test_what_goes_on_shows_what_it_waits_for_and_no_outcome() -> None:
    seen = view(operation(State.RUNNING), (), "a free worker")
    assert (seen.ended, seen.waits_for, seen.code, seen.next_step) == (False, "a free worker", "store-unavailable", "")
    assert row(operation(State.RUNNING), "a free worker").sentence == "a free worker"


def test_a_success_that_is_not_complete_does_not_look_like_a_whole_one() -> None:
    left_out = [{"name": "web/env/A", "code": "refused", "sentence": "no"}]
    seen = view(operation(State.SUCCEEDED, sentence="done", complete=False, items=left_out), (), "")
    assert (seen.tone, seen.incomplete, seen.items_title) == ("warn", True, "What was left out")
    assert seen.items[0]["name"] == "env/A"


def test_what_is_stuck_always_has_a_next_step() -> None:
    assert "by hand" in view(operation(State.STUCK, sentence="no"), (), "").next_step


def test_no_value_of_the_data_or_of_a_step_is_on_the_page() -> None:
    step = Step(1, "call", StepState.DONE, {"service": "web", "item": "env/A", "verb": "add", "row": CANARY,
                "call": {"method": "POST", "path": "/env", "body": CANARY}}, {"body": CANARY})  # fmt: skip
    seen = view(operation(State.SUCCEEDED, sentence="done"), [step], "")
    assert CANARY not in repr(seen) and CANARY not in repr(facts(operation(State.SUCCEEDED), seen.figures))


@pytest.mark.parametrize(
    ("state", "role", "offered"),
    [
        (State.QUEUED, Role.VIEWER, []),
        (State.QUEUED, Role.OPERATOR, ["Cancel this operation"]),
        (State.RUNNING, Role.OPERATOR, ["Cancel this operation"]),
        (State.COMPENSATING, Role.ADMIN, []),
        (State.STUCK, Role.VIEWER, []),
        (State.STUCK, Role.OPERATOR, ["Try again"]),
        (State.STUCK, Role.ADMIN, ["Try again", "It is as before", "It is finished"]),
        (State.SUCCEEDED, Role.ADMIN, []),
        (State.FAILED, Role.ADMIN, []),
    ],
)
def test_only_what_the_state_and_the_role_allow_is_offered(state: State, role: Role, offered: list[str]) -> None:
    assert [one.button for one in decisions(operation(state), caller(role))] == offered


def test_a_role_in_another_tenant_offers_nothing() -> None:
    assert decisions(operation(State.STUCK), caller(Role.ADMIN, "other")) == []


@pytest.mark.parametrize(
    ("tenant", "role", "offered"),
    [
        ("acme", Role.ADMIN, []),
        (EVERYWHERE, Role.VIEWER, []),
        (EVERYWHERE, Role.OPERATOR, ["Move it", "Give the node up"]),
    ],
)
def test_what_is_of_a_lost_node_is_decided_by_whoever_decides_about_nodes(
    tenant: str, role: Role, offered: list[str]
) -> None:
    places = Places(("web-2",), lost=True)
    found = decisions(operation(State.COMPENSATING), caller(role, tenant), places)
    assert [one.button for one in found] == offered
    assert [one.reason for one in found if one.button == "Give the node up"] == [True] * (len(offered) // 2)


def test_what_a_person_states_needs_a_reason_and_a_name() -> None:
    stated = [one for one in decisions(operation(State.STUCK), caller(Role.ADMIN)) if one.button != "Try again"]
    assert all(one.reason is True and one.typed == "web" for one in stated)
