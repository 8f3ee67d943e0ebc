"""Deaths that no other process sees: work goes on when the lease is over, not before, and other cases have the time."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import pytest

from domain.operation import Operation, State
from tests.chaos.victim import Death
from tests.prove import unseen
from tests.prove.bench import Bench
from tests.prove.unseen import Left, Unseen

DEATH = Death("archive.after-publish", 1)


def test_what_a_process_had_in_hand_that_died_unseen_is_taken_over_when_its_lease_is_over(bench: Bench) -> None:
    """I1, I2, I5, I13 to I17."""
    cases = Unseen(bench, [])
    cases.leave("create", DEATH)
    assert cases.left is not None
    cases.follow()
    assert (cases.tally.bad, cases.tally.reached, cases.tally.two_owners) == ([], 1, 1)
    assert cases.tally.latest > 0


def test_a_successor_that_sees_the_death_is_no_proof_of_a_lease(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes over at once, which the harness tells."""
    monkeypatch.setattr("tests.prove.matrix.LEASE", 30)  # that is before its end on any machine
    cases = Unseen(bench, [])
    cases.leave("create", DEATH)
    monkeypatch.setattr(unseen, "blind", nullcontext)
    cases.follow()
    (said,) = cases.tally.bad
    assert said.startswith(f"create killed unseen at {DEATH}: create-0/proof was taken over")
    assert said.endswith("before the end of its lease")


def test_where_it_had_nothing_in_hand_there_is_no_lease_to_wait_for_and_no_point(bench: Bench) -> None:
    cases = Unseen(bench, [])
    cases.leave("retention", Death("claim.before-commit", 1))
    assert (cases.left, cases.tally.bad, cases.tally.cases, cases.tally.reached) == (None, [], 1, 0)


def test_other_cases_have_the_time_until_a_lease_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere: Any = None
    cases = Unseen(nowhere, [("create", DEATH)])
    monkeypatch.setattr(cases, "leave", lambda name, death: setattr(cases, "left", _left(time.time() + 3600)))
    monkeypatch.setattr(cases, "follow", lambda: setattr(cases, "left", None))
    order = list[str]()
    for what, act in cases.among([(name, lambda: None) for name in ("first", "second", "third")]):
        order.append(what)
        act()
        if what == "second":
            cases.left = _left(time.time())
    followed = f"create followed after {DEATH}"
    assert order == [f"create killed unseen at {DEATH}", "first", "second", followed, "third"]


def _left(until: float) -> Left:
    one = Operation(1, "1", "/s", "1", "k", "t", "s", State.RUNNING, {}, fence=1, lease_until=int(until * 1000))
    nothing: Any = None
    return Left("create", "create-0", DEATH, {}, {"1": one}, nothing)
