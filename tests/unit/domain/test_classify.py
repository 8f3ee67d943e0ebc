"""What a region's reply means, row by row of the table in docs/region.md."""

from __future__ import annotations

import pytest

from domain.classify import Verdict, classify
from domain.region import Call, Repeat, Reply, Trouble

ADD_ENV = Call("add-env", "POST", "/env", {}, Repeat.EXISTS, optional=True)
SET_PORT = Call("set-port", "PUT", "/ports", {}, optional=True)
RESTORE = Call("restore-envs", "POST", "/app-restore/envs", {})
BUILD = Call("build", "POST", "/build", {}, Repeat.ONCE)


def reply(status: int, message: str = "", **more: object) -> Reply:
    return Reply(status=status, message=message, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "answer", "verdict"),
    [
        (ADD_ENV, reply(200), Verdict.APPLIED),
        (ADD_ENV, reply(400, "record already exist"), Verdict.EXISTS),
        (ADD_ENV, reply(400, "env_value: required"), Verdict.LEFT_OUT),
        (SET_PORT, reply(400, "bad request"), Verdict.LEFT_OUT),
        (ADD_ENV, reply(500, "record already exist"), Verdict.EXISTS),
        (ADD_ENV, reply(500), Verdict.UNKNOWN),
        (ADD_ENV, reply(502), Verdict.UNKNOWN),
        (ADD_ENV, reply(504), Verdict.UNKNOWN),
        (ADD_ENV, reply(503), Verdict.UNKNOWN),
        (ADD_ENV, reply(503, retry_after=3.0), Verdict.BUSY),
        (ADD_ENV, reply(409), Verdict.BUSY),
        (ADD_ENV, reply(429), Verdict.BUSY),
        (ADD_ENV, reply(401), Verdict.REFUSED),
        (ADD_ENV, reply(403), Verdict.REFUSED),
        (ADD_ENV, reply(404, "cant find service"), Verdict.REFUSED),
        (ADD_ENV, reply(412), Verdict.REFUSED),
        (ADD_ENV, reply(412, fenced=True), Verdict.FENCED),
        (ADD_ENV, reply(422), Verdict.REFUSED),
        (ADD_ENV, Reply(trouble=Trouble.NOT_SENT), Verdict.NOT_SENT),
        (ADD_ENV, Reply(trouble=Trouble.CUT), Verdict.UNKNOWN),
        (RESTORE, reply(400), Verdict.REFUSED),
        (BUILD, reply(200, bean={"status": "success", "event_id": "e"}), Verdict.APPLIED),
        (BUILD, reply(200, bean={"status": "failure", "err_message": "last event is running"}), Verdict.BUSY),
        (BUILD, reply(200, bean={"status": "", "err_message": "", "event_id": "e"}), Verdict.BUSY),
        (BUILD, reply(200, bean={"status": "failure", "err_message": "no such image"}), Verdict.REFUSED),
        (BUILD, reply(200), Verdict.UNKNOWN),
        (BUILD, reply(400, "version already exists"), Verdict.REFUSED),
        (BUILD, reply(412, "quota"), Verdict.REFUSED),
    ],
)
def test_each_reply_has_one_meaning(call: Call, answer: Reply, verdict: Verdict) -> None:
    """Scenarios 11, 27, 31; B28, B39, B58."""
    assert classify(call, answer).verdict is verdict


@pytest.mark.parametrize("answer", [reply(400, "is exist"), reply(500, "already exist")])
def test_a_refusal_that_answers_a_repeat_means_that_the_first_try_arrived(answer: Reply) -> None:
    """Scenario 13."""
    assert classify(ADD_ENV, answer, sent_before=True).verdict is Verdict.APPLIED


def test_a_repeat_that_is_invalid_says_nothing_of_the_first_try_and_turns_back() -> None:
    """Neither "it is there" nor "it was left out" would be known to be true."""
    assert classify(ADD_ENV, reply(400, "validation"), sent_before=True).verdict is Verdict.REFUSED


@pytest.mark.parametrize("call", [ADD_ENV, RESTORE])
@pytest.mark.parametrize(
    "answer", [reply(400, "is exist"), reply(400), reply(500, "already exist"), reply(404), reply(409)]
)
def test_nothing_but_success_puts_anything_back(call: Call, answer: Reply) -> None:
    """Scenario 32, B12: a compensation that did not happen never looks like one that did."""
    for sent_before in (False, True):
        verdict = classify(call, answer, sent_before=sent_before, undoing=True).verdict
        assert verdict not in (Verdict.APPLIED, Verdict.EXISTS, Verdict.LEFT_OUT)
