"""`backstay plan`: what it shows is what the worker then does, and what people have done in between."""

from __future__ import annotations

from typing import Any

from domain.course import Course
from domain.operation import Operation, State
from tests.acceptance.platform import Platform
from tests.acceptance.shop import Names, details, env
from tests.acceptance.stage import Stage
from tests.command_line import Answer, answer_of

CANARY = "plan-canary-3391"


def plan(platform: Platform, *arguments: str) -> Answer:
    environment = {"BACKSTAY_DATA_DIR": str(platform.home), "BACKSTAY_NODE": "observer"}
    return answer_of(["plan", *arguments], environment)


def shown(platform: Platform, *arguments: str) -> dict[str, Any]:
    answer = plan(platform, *arguments, "--json")
    assert answer.code == 0, answer.err
    (service,) = answer.document()["services"]
    assert isinstance(service, dict)
    return service


def carried_out(stage: Stage, operation: Operation) -> list[tuple[str, str, str]]:
    """(verb, kind, key) of the plan that the operation has written down."""
    assert operation.state is State.SUCCEEDED, operation.outcome
    steps = stage.platform.system.database.ledger.steps(operation.op_id)
    (task,) = Course.load(next(step.request for step in steps if step.kind == "plan")).tasks
    return [(change.verb.value, change.kind, change.key) for change in task.plan.changes]


def listed(service: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(change["verb"], change["kind"], change["key"]) for change in service["changes"]]


def test_what_a_plan_shows_is_what_is_done_there_and_back(stage: Stage, names: Names) -> None:
    there = shown(stage.platform, "upgrade", names.web, "--version", "v2.0")
    assert there["action"] == "build"
    assert listed(there) == carried_out(stage, stage.upgrade(names.web))
    back = shown(stage.platform, "rollback", names.web)
    assert listed(back) == carried_out(stage, stage.rollback(names.web, hold=False))


def test_a_plan_changes_nothing_and_can_tell_by_its_exit_code_that_there_is_something_to_do(
    stage: Stage, names: Names
) -> None:
    before, calls = stage.configuration(names.web), len(stage.region.log())
    assert plan(stage.platform, "upgrade", names.web, "--version", "v2.0", "--exit-code").code == 3
    assert stage.configuration(names.web) == before
    assert len(stage.region.log()) == calls


def test_what_people_changed_since_the_last_upgrade_is_told_before_a_rollback_overwrites_it(
    stage: Stage, names: Names
) -> None:
    assert stage.upgrade(names.web).state is State.SUCCEEDED
    assert shown(stage.platform, "rollback", names.web)["drift"] == []
    live = stage.configuration(names.web).document()
    live["items"]["env"]["BY_HAND"] = env("BY_HAND", CANARY)
    stage.register(names, names.web, live)
    answer = plan(stage.platform, "rollback", names.web)
    assert "! env BY_HAND was added by hand since the last upgrade" in answer.out
    assert "- env BY_HAND" in answer.out
    assert CANARY not in answer.out


def test_an_upgrade_that_changed_nothing_does_not_keep_a_plan_from_being_shown(stage: Stage, names: Names) -> None:
    """It is among the upgrades that hold, and has written down no plan."""
    assert [stage.upgrade(names.web).state for _ in range(2)] == [State.SUCCEEDED] * 2
    assert shown(stage.platform, "rollback", names.web)["drift"] == []


def test_a_service_that_was_never_upgraded_has_no_drift_and_nothing_to_go_back_to(stage: Stage, names: Names) -> None:
    assert shown(stage.platform, "upgrade", names.web, "--version", "v2.0")["drift"] == []
    answer = plan(stage.platform, "rollback", names.web)
    assert answer.code != 0
    assert "no upgrade that could be rolled back" in answer.err


def test_values_are_masked_in_both_forms(stage: Stage, names: Names) -> None:
    document = details(names, names.web)
    document["service_env_vars"] = [*document["service_env_vars"], env("LOG_LEVEL2", CANARY)]
    stage.register(names, names.web, document)
    for form in ([], ["--json"]):
        answer = plan(stage.platform, "upgrade", names.web, "--version", "v2.0", *form)
        assert CANARY not in answer.out + answer.err
