"""What `make prove` does to servers: every kind of fault at least once, and told where it did not happen."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos.victim import Death
from tests.prove import campaign, proofs
from tests.prove.campaign import Fault, kinds, planned, turns
from tests.prove.cases import NO_TIME, Line
from tests.prove.goals import missed
from tests.prove.nemesis import Family, Nemesis
from tests.prove.stacks import Servers


def test_a_kind_of_fault_that_has_a_handful_of_cases_among_thousands_has_its_turn_first() -> None:
    """And others of its cases, where it has not happened by the first."""
    many = [_fault("500", number) for number in range(1000)]
    few = [_fault("slow", number) for number in range(5)]
    calls = [_fault("flapping", 0)]
    happened = {"500", "flapping"}
    first = [fault.kind for _, fault in zip(range(6), turns([many + few, calls], happened.__contains__), strict=False)]
    assert first == ["slow"] * 4 + ["500", "flapping"]
    every = list(turns([many + few, calls], lambda kind: False))
    assert Counter(map(id, every)) == Counter(map(id, many + few + calls)), "each of them, and none twice"


def _fault(kind: str, number: int) -> Fault:
    return Fault(kind, partial(print, number))


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_what_is_planned_is_told_as_what_it_is_and_nothing_else_is_planned(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nemesis gives its families their names itself."""
    monkeypatch.setattr("tests.prove.nemesis.Moment", str)
    nemesis, named = _recorder(broker)
    bad = list[str]()
    faults = [fault for family in planned(nemesis, broker, bad).values() for fault in family]
    for fault in faults:
        fault.act()
    assert (bad, named) == ([], [fault.kind for fault in faults])
    assert set(named) == set(kinds(broker))


def _recorder(broker: str) -> tuple[Nemesis, list[str]]:
    """A nemesis that writes down which family it would count a case to."""
    nemesis, named = Nemesis.__new__(Nemesis), list[str]()
    stub: Any = nemesis
    stub.families = defaultdict(Family)
    stub.matrix = SimpleNamespace(points=lambda name: [Death("settle.before-commit", 1)])
    stub.bench = SimpleNamespace(region=SimpleNamespace(script=print, struck=int))
    stub.servers = SimpleNamespace(running={"postgres": None, broker: None})
    stub.wires = defaultdict(lambda: SimpleNamespace(strike=lambda rule: None, fired=None))
    stub.moments = lambda name, watch: ({to: Counter(dict.fromkeys(words, 1)) for to, words in watch.items()}, 2)
    stub._case = lambda name, family, words, **more: named.append(family)
    return nemesis, named


def test_a_kind_of_fault_for_which_there_was_no_time_or_that_did_not_happen_is_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def tried_in_vain() -> None:
        made.families["rgw: slow"].cases += 3

    made: Any = SimpleNamespace(families=defaultdict(Family), bench=SimpleNamespace(secrets_found=list))
    slow = Fault("rgw: slow", partial(tried_in_vain))
    monkeypatch.setattr(proofs, "stack", lambda name, home: nullcontext(({}, Servers())))
    monkeypatch.setattr(proofs, "RegionDouble", lambda **_: nullcontext())
    monkeypatch.setattr(proofs, "nemesis", lambda *_: nullcontext(made))
    monkeypatch.setattr(campaign, "planned", lambda *_: {"store": [slow]})
    lines = list[Line]()
    proofs.faults("redis", 60.0, lines)
    done = {line.proof.partition(": PostgreSQL")[0]: line.done for line in lines}
    assert done.pop("faults of servers") == "1 of 1 cases"
    assert done.pop("rgw: slow") == "not done: it did not happen in 3 cases"
    assert done == dict.fromkeys(set(kinds("redis")) - {"rgw: slow"}, NO_TIME)
    assert {f"{line.proof}: {line.done}" for line in lines[:-1]} <= set(missed(lines))
