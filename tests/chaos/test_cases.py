"""What holds `make prove` together: whatever breaks off, what was found before is told, and what was not done."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import pytest

from tests.chaos import victim
from tests.chaos.victim import Death
from tests.dying import named
from tests.prove import proofs, secrets
from tests.prove.cases import IN_A_ROW, NO_TIME, Line, case, tried, until
from tests.prove.failpoints import reached
from tests.prove.goals import POINTS, REAL, SEEDS, missed, summary
from tests.prove.matrix import Tally
from tests.prove.outages import SIGHTS
from tests.prove.stacks import STACKS, Servers
from tests.waiting import eventually


def test_a_server_that_does_not_start_leaves_the_lines_that_were_there() -> None:
    """What fails a test is no Exception, and no other process can read it."""

    def proof(seconds: float, lines: list[Line]) -> None:
        lines.append(Line("the first", "all of it", 3, ("something",)))
        eventually(lambda: False, 0.0, "a server answers")

    first, last = tried("a proof", proof, 1.0)
    assert first.bad == ("something",)
    assert last.done == "could not go on"
    assert "until a server answers" in last.bad[0]


def test_a_server_that_is_not_installed_is_told_as_not_done() -> None:
    def proof(seconds: float, lines: list[Line]) -> None:
        pytest.skip("no radosgw here")

    (line,) = tried("a proof", proof, 1.0)
    assert (line.done, line.bad) == ("not done: no radosgw here", ())


def test_a_case_that_breaks_off_is_a_violation_by_its_name_and_the_next_goes_on() -> None:
    bad, done = list[str](), list[str]()

    def breaks() -> None:
        raise AssertionError

    cases = [("create killed at a#1", breaks), ("create killed at b#1", lambda: done.append("b"))]
    assert until(time.monotonic() + 60, cases, bad) == 2
    assert done == ["b"]
    assert [sentence.partition(" (")[0] for sentence in bad] == [
        "create killed at a#1 broke off: AssertionError: no words"
    ]


def test_after_several_cases_in_a_row_that_break_off_the_proof_gives_up() -> None:
    bad = list[str]()

    def breaks() -> None:
        raise OSError("gone")

    assert until(time.monotonic() + 60, [("a case", breaks)] * 100, bad) == IN_A_ROW
    assert bad[-1].startswith("given up")


def test_no_node_of_a_case_that_broke_off_is_left_standing() -> None:
    """A frozen one would keep its locks from all cases that follow."""
    bad, pids = list[str](), list[int]()

    def breaks() -> None:
        pids.append(os.fork())
        if not pids[0]:
            os.kill(os.getpid(), signal.SIGSTOP)
            os._exit(0)
        victim.started.append(pids[0])
        os.waitpid(pids[0], os.WUNTRACED)
        raise OSError("the server is gone")

    assert not case("a case", breaks, bad)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_one_that_is_frozen_does_nothing_more_before_it_stands() -> None:
    """Else a COMMIT leaves behind the point that stands before it."""
    said, told = os.pipe()
    for _ in range(20):
        pid = os.fork()
        if not pid:
            threading.Thread(target=signal.pause, daemon=True).start()
            thread = threading.Thread(target=_stand_then_say, args=(told,))
            thread.start()
            thread.join()
            os._exit(0)
        os.waitpid(pid, os.WUNTRACED)
        ready = select.select([said], [], [], 0)[0]
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not ready
    os.close(said)
    os.close(told)


def _stand_then_say(told: int) -> None:
    victim.freeze()
    os.write(told, b"!")


def test_goals_are_missed_by_what_was_not_done_was_late_or_too_little() -> None:
    simulated, real = Line("simulation", "many", POINTS - REAL, seeds=SEEDS), Line("kills", "many", REAL - 2)
    enough = [simulated, real, Line("power cuts", "all", 2)]
    assert missed(enough) == []
    few = Line("simulation", "few", POINTS - REAL, seeds=SEEDS - 1)
    assert missed([few, real, Line("power cuts", "one", 1)]) == [
        f"{POINTS - 1} kill and fault points, not {POINTS}",
        f"{REAL - 1} points on real processes, not {REAL}",
        f"{SEEDS - 1} seeds, not {SEEDS}",
    ]
    worse = [
        Line("frozen", "1 freeze", 1, takeover=5.1),
        Line("power cut", "not done: only root can mount", 0),
        Line("kills", "1 of 2 points", 1, ("lost",)),
    ]
    assert missed([*enough, *worse]) == [
        "frozen: taken over 5.1 s after the end of the lease, not within 5 s",
        "1 violations, not 0",
        "power cut: not done: only root can mount",
    ]
    told = f"{REAL + 2} points on real processes and {POINTS - REAL} simulated in {SEEDS} seeds, 1 violations"
    assert summary([*enough, *worse]) == told


@pytest.mark.parametrize(
    "proof",
    ["SIGKILL: here", "SIGSTOP beyond the lease: here", "disk full: here", "partition: here", "power cut: here"],
)
def test_a_proof_that_has_done_nothing_is_a_goal_that_is_missed(proof: str) -> None:
    """What only tells what was looked at has no points and is none."""
    enough = [Line("simulation", "many", POINTS, seeds=SEEDS), Line("kills", "many", REAL)]
    looks = [Line("marked secrets: here", "rows", 0), Line("search for secrets: here", "all", 0)]
    looks += [Line("faults of servers: here", "86 of 3827 cases", 0), Line("failpoints", "69 of 185", 0)]
    assert missed([*enough, *looks]) == []
    assert missed([*enough, *looks, Line(proof, "0 of 80 points", 0)]) == [f"{proof}: 0 of 80 points, and no point"]


def test_how_many_of_how_many_points_were_frozen_or_left_a_lease_is_told() -> None:
    """A dozen of a thousand must not look like all."""
    tally = Tally(reached=20, two_owners=16, latest=6.0)
    assert proofs.of_freezes("redis", tally, 700).done.startswith("20 of 700 points, 16 with two owners")
    line = proofs.of_unseen("redis", tally, 100)
    assert line.done.startswith("20 of 100 points")
    assert "taken over 6.0 s after the end of the lease" in " ".join(missed([line]))


def test_a_death_is_seen_by_the_next_process_or_it_is_not_and_mostly_it_is() -> None:
    points = [("create", Death(f"archive.{number}", 1)) for number in range(20)]
    points += [("create", Death("relay.after-publish", 1))] * 5  # nobody holds anything there
    seen, unseen = proofs.seen_or_not(points)
    assert (len(seen), len(unseen)) == (21, 4)
    assert not set(seen) & set(unseen)


def test_an_outage_for_which_there_was_no_time_is_told_as_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def lived_through(*given: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
        yield from ((kind, []) for kind in given[-1])

    monkeypatch.setattr(proofs, "stack", lambda name, home: nullcontext(({}, Servers())))
    monkeypatch.setattr(proofs, "lived_through", lived_through)
    lines = list[Line]()
    proofs.outages(-1.0, lines)
    assert {line.proof for line in lines} == {f"outage: {kind}" for kind in SIGHTS}
    assert [line.proof for line in lines if line.done == NO_TIME] == ["outage: rabbitmq"]
    assert f"outage: rabbitmq: {NO_TIME}" in missed(lines)


def test_a_stack_in_which_there_was_no_time_to_search_for_secrets_is_told_as_not_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(secrets, "searched", lambda name, home: (1, []))
    lines = list[Line]()
    secrets.secrets(-1.0, lines)
    assert {line.proof for line in lines} == {f"search for secrets: {words}" for words in STACKS.values()}
    assert [line.done == NO_TIME for line in lines] == [False, True, True]
    assert {f"{line.proof}: {NO_TIME}" for line in lines[1:]} <= set(missed(lines))


def test_a_failpoint_at_which_nobody_was_killed_is_told_and_those_are_known_from_the_code() -> None:
    some = {"settle.before-commit", "settle.after-commit", "object.after-put", "region.before-call"}
    assert some <= named()
    assert not {name for name in named() if name.startswith(("blog.", "mail."))}, "a file that is written is no commit"
    lines = [Line("a matrix", "all", 1, failpoints=frozenset(named() - {"claim.before-commit"}))]
    assert reached(lines).more == "not all of those of claim"
    assert reached(lines).done.startswith(f"{len(named()) - 1} of {len(named())} ")
