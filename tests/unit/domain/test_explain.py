"""The story of an operation: every try is told, and no value is."""

from __future__ import annotations

import json
from typing import Any

from domain.explain import fit, story, summary
from domain.operation import Operation, State, Step, StepState

CANARY = "value-canary-7716"
SERVICE = "web"


def call(state: StepState, reply: dict[str, Any], **request: Any) -> Step:
    asked = {
        "service": SERVICE,
        "item": "env/GREETING",
        "verb": "add",
        "call": {"name": "add-env", "method": "POST", "path": "/env", "body": {"env_value": CANARY}},
    }
    return Step(1, "call", state, asked | request, reply, began_at=10, updated_at=20)


def a_try(status: int, verdict: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "trouble": None, "verdict": verdict, "words": "", "ms": 3} | more


def test_a_call_is_told_by_item_method_and_path() -> None:
    line = story([call(StepState.DONE, {"verdict": "applied", "tries": [a_try(200, "applied")]})])[0]
    assert line.what == "web: add env/GREETING (POST /env)"
    assert line.meaning == "done"
    assert line.remarks == ("try 1: status 200, read as applied, 3 ms",)


def test_every_try_is_told_and_an_unknown_outcome_is_named() -> None:
    tries = [a_try(0, "unknown", trouble="cut"), a_try(200, "applied")]
    line = story([call(StepState.DONE, {"verdict": "applied", "unknown": True, "tries": tries})])[0]
    assert line.remarks[0] == "try 1: cut, read as unknown, 3 ms"
    assert line.remarks[1].startswith("try 2: status 200")
    assert "no known outcome" in line.remarks[2]


def test_an_ignored_400_says_whether_it_existed_or_is_left_out() -> None:
    meanings = [story([call(StepState.IGNORED, {"verdict": verdict})])[0].meaning for verdict in ("exists", "left-out")]
    assert meanings == ["ignored a 400: it existed before", "ignored a 400: the item is left out"]


def test_a_value_that_the_region_did_not_take_is_not_told_as_an_item_that_is_left_out() -> None:
    line = story([Step(7, "converge:1:1", StepState.IGNORED, {"service": SERVICE}, {"verdict": "left-out"})])[0]
    assert line.what == "web: our value for what existed before"
    assert line.meaning.startswith("the region did not take our value")


def test_what_was_put_back_says_by_which_calls() -> None:
    reply = {
        "verdict": "undone",
        "by": ["restore-envs"],
        "was": {"verdict": "applied", "tries": [a_try(200, "applied")]},
    }
    line = story([call(StepState.UNDONE, reply)])[0]
    assert line.meaning == "put back"
    assert line.remarks == ("try 1: status 200, read as applied, 3 ms", "put back by restore-envs")


def test_a_step_that_waits_for_its_region_is_not_told_as_sent() -> None:
    assert "certainly did not arrive" in story([call(StepState.INTENT, {}, idle=True)])[0].meaning
    assert "nobody knows yet" in story([call(StepState.INTENT, {})])[0].meaning


def test_a_deployment_that_nobody_can_find_is_not_told_as_done() -> None:
    request = {"service": SERVICE, "effect": "BUILD", "event": "e1"}
    line = story([Step(9, "deploy", StepState.DONE, request, {"event": "e1", "unknown": True, "lost": True})])[0]
    assert line.meaning.startswith("sent, and not to be found")


def test_a_step_that_was_not_begun_has_no_end() -> None:
    assert story([call(StepState.PENDING, {})])[0].ended_at == 0


def test_no_body_and_no_value_is_ever_part_of_the_story() -> None:
    step = call(StepState.DONE, {"verdict": "applied", "tries": [a_try(200, "applied")], "body": CANARY})
    told = json.dumps([line.document() for line in story([step])]) + json.dumps(fit(step.request) | fit(step.reply))
    assert "GREETING" in told
    assert CANARY not in told


def test_the_summary_counts_the_steps_and_gives_the_next_step() -> None:
    ended = Operation(
        1, "op", "/s", "m", "upgrade-service", "acme", SERVICE, State.ROLLED_BACK, {},
        outcome={"sentence": "it was put back", "code": "region-refused", "next_step": "ask the region"},
    )  # fmt: skip
    told = summary(ended, [call(StepState.UNDONE, {}), call(StepState.DONE, {})])
    assert told == [
        "upgrade-service of service web is ROLLED_BACK",
        "it was put back",
        "reason code: region-refused",
        "next: ask the region",
        "2 steps: 1 done, 1 put back",
    ]
