"""What the audit after `make soak` would notice: the soak itself takes longer than the suite may."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from domain.errors import BrokerUnavailable
from tests.prove import soak
from tests.prove.audit import agreement, audit, ends
from tests.prove.bench import Bench
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import Matrix
from tests.prove.nodes import LEAST_SECONDS, WARM_SECONDS, Node
from tests.prove.stacks import Servers
from tests.simulation.mutants import planted
from tests.waiting import eventually

NOBODYS = "00000000-0000-7000-8000-000000000000"


def test_a_restore_that_is_said_to_have_succeeded_and_has_changed_nothing_is_noticed(untouched: Matrix) -> None:
    """I15: both trees are the service's; only the one that was restored last may be live."""
    service, bench = untouched.ready("restore"), untouched.bench
    note, snapshot = bench.notes[service], bench.found(service, "first").op_id
    SCENARIOS["restore"].act(bench, service)
    other = (note["trees"] - {note["first"]}).pop()
    note |= {"path": bench.home / "data" / "apps" / service, "tree": other, "kept": {snapshot: note["first"]}}
    messages = [f"{service}/proof"]
    assert bench.run(messages).exit_code == 0
    assert audit(bench, messages, [service], []) == []
    note |= {"tree": note["first"], "kept": {snapshot: other}}
    assert audit(bench, messages, [service], []) == [
        f"the live tree of {service} is another one",
        f"{snapshot} of {service} restores to something else",
    ]


def test_an_upgrade_that_is_said_to_have_succeeded_and_left_the_old_version_is_noticed(untouched: Matrix) -> None:
    """I19: console and region may agree, and both be wrong."""
    service, bench = untouched.ready("rollback"), untouched.bench
    assert agreement(bench, [service]) == []
    bench.asked(service).remove(f"{service}/before")
    assert agreement(bench, [service]) == [f"{service} is at v2, and what has succeeded led to v1"]


@pytest.mark.parametrize(
    ("bug", "said"),
    [
        ("items-forgotten", {"the connect_info, env, image, port, volume of {} are not those of v2"}),
        ("left-out-unasked", {"upgrade-service left out {}/env/NEW", "upgrade-service calls itself incomplete"}),
    ],
)
def test_an_upgrade_that_has_brought_its_label_and_nothing_else_is_noticed(
    untouched: Matrix, bug: str, said: set[str]
) -> None:
    """I19: whether it calls itself complete or not, when nothing has refused anything."""
    service, bench = untouched.ready("upgrade"), untouched.bench
    SCENARIOS["upgrade"].act(bench, service)
    with planted(bug):  # of the node, which is forked
        assert bench.run([f"{service}/proof"]).exit_code == 0
    noticed = {line.replace(service, "{}") for line in agreement(bench, [service])}
    assert said <= noticed
    assert said <= {line.replace(service, "{}") for line in SCENARIOS["upgrade"].check(bench, service)}
    assert not [line for line in noticed if line.startswith("region and console")]


def test_a_command_that_fails_for_another_reason_than_the_known_ones_is_noticed(untouched: Matrix) -> None:
    """Whoever takes any FAILED for an end would not see that nothing works any more."""
    service, bench = untouched.ready("retention"), untouched.bench
    asked = [bench.ask(service, kind, {"snapshot_id": NOBODYS}) for kind in ("verify-snapshot", "pin-snapshot")]
    assert bench.run(asked).exit_code == 0
    (said,) = ends(bench, asked)
    assert said.startswith(f"{asked[1]} ended by what should not happen here: FAILED")


@pytest.mark.parametrize(
    ("files", "memory", "seconds", "said"),
    [
        (0, 0, LEAST_SECONDS, ""),
        (60, 0, LEAST_SECONDS, "n holds ever more files"),
        (0, 200_000, LEAST_SECONDS, "n holds ever more KiB of memory"),
        (60, 200_000, LEAST_SECONDS / 2, ""),
    ],
)
def test_a_node_that_holds_ever_more_is_noticed_when_it_was_watched_for_long_enough(
    tmp_path: Path, files: int, memory: int, seconds: float, said: str
) -> None:
    """`files` and `memory` are what has come on top in the end."""
    node, whole = Node("n", {}, tmp_path / "log"), WARM_SECONDS + seconds
    for second in range(int(whole) + 1):
        share = second / whole
        node.seen(float(second), 50 + round(files * share) + second % 7, 200_000 + round(memory * share))
    found = node.grows()
    assert len(found) == bool(said)
    assert all(one.startswith(said) for one in found)
    told, missed = soak.growth(node)
    assert told.endswith("judged over 5 minutes" if seconds >= LEAST_SECONDS else "not judged: too short")
    assert len(missed) == (seconds < LEAST_SECONDS)


def test_a_soak_that_could_not_judge_something_says_so_and_is_no_violation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody may read silence as "nothing grows"."""
    said, missed = soak.growth(Node("n", {}, Path("log")))
    monkeypatch.setattr(soak, "soak", lambda *_: (said, [], missed))
    monkeypatch.setattr(sys, "argv", ["soak", "--minutes", "1"])
    assert soak.main() == 0
    *_, told, last = capsys.readouterr().out.splitlines()
    assert "not judged: too short" in told
    assert last.startswith("MISSED memory and files not judged")


def test_a_node_that_ends_by_itself_is_told_once_with_how_and_its_last_words(tmp_path: Path) -> None:
    """Whoever starts it again would otherwise hide every crash."""
    node = Node("n", {}, tmp_path / "log", ["/bin/sh", "-c", "echo before; echo why; exit 3"])
    node.start()
    _ended(node)
    node.kill()
    node.kill()
    assert node.deaths == ["n ended by itself (exit code 3), and its log by: before / why"]


def test_a_node_that_is_killed_by_others_is_told_and_one_that_was_to_be_killed_is_not(tmp_path: Path) -> None:
    """A kernel without memory kills as the proof does."""
    node = Node("n", {}, tmp_path / "log", ["/bin/sh", "-c", "exec sleep 600"])
    for _ in range(2):
        node.start()
        node.kill()
    assert node.deaths == []
    node.start()
    assert node._process is not None
    os.kill(node._process.pid, signal.SIGKILL)
    _ended(node)
    node.start()
    node.kill()
    assert node.deaths == ["n ended by itself (SIGKILL), and its log by: nothing"]


def _ended(node: Node) -> None:
    process = node._process
    assert process is not None
    eventually(lambda: process.poll() is not None, what="the process has ended")


def test_a_message_whose_repeat_was_not_confirmed_was_accepted_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1: what was confirmed once is looked for in the end."""
    monkeypatch.setattr(soak, "REPEATED", 1.0)
    published = list[str]()

    def publish(event: dict[str, Any]) -> None:
        published.append(event["id"])
        if len(published) > 1:
            raise BrokerUnavailable("it is away")

    made = soak.Soak(bench, Servers(), 1)
    monkeypatch.setattr(made, "_wish", lambda: ("soak-0", "create-snapshot", {}))
    monkeypatch.setattr(bench.publisher, "command", publish)
    made._load()
    made._load()
    assert published == ["soak-0/0", "soak-0/0", "soak-0/1"]
    assert made.messages == bench.asked("soak-0") == ["soak-0/0"]
