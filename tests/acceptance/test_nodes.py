"""Several nodes: data work goes where the directory is, everything else anywhere, and a service can move."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from domain.audit import Actor
from domain.operation import State
from storage import throttle
from storage.throttle import Budget
from tests.acceptance.platform import Platform, code, digest
from tests.command_line import CommandLine
from tests.waiting import eventually
from workers.clock import SystemClock

ROOT = Actor("root@ops", "cli")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Platform]:
    """Two nodes, each with its own apps root."""
    made = Platform(tmp_path)
    made.start("web-1")
    made.start("web-2")
    yield made
    made.close()


def test_data_work_is_done_by_the_node_that_has_the_directory(two: Platform) -> None:
    for node in ("web-1", "web-2"):
        two.service(f"on-{node}", node=node)
        operation = two.run("create-snapshot", {}, service=f"on-{node}")
        assert operation.state is State.SUCCEEDED
        assert (operation.owner or "").startswith(f"{node}|")


def test_a_service_does_not_move_to_where_another_one_s_directory_is(two: Platform) -> None:
    """Refused before anything is exchanged: the other one may be another tenant's, and is reading and writing."""
    two.service("guest", node="web-1")
    snapshot = two.snapshot("guest")
    victim = two.apps("web-2") / "guest" / "inner"
    victim.mkdir(parents=True)
    (victim / "data").write_text("theirs")
    placed = two.run("register-service", {"directory": "guest/inner", "node": "web-2"}, service="host")
    assert placed.state is State.SUCCEEDED
    inode = victim.stat().st_ino
    data = {"snapshot_id": snapshot.snapshot_id, "target": {"node": "web-2"}}
    assert code(two.run("restore-snapshot", data, service="guest")) == (State.FAILED, "directory-taken")
    assert victim.stat().st_ino == inode and (victim / "data").read_text() == "theirs"


def test_a_snapshot_is_restored_on_another_node_and_the_service_lives_there_from_then_on(two: Platform) -> None:
    tree = two.service("moving", node="web-1")
    before = digest(tree)
    snapshot = two.snapshot("moving")
    data = {"snapshot_id": snapshot.snapshot_id, "target": {"node": "web-2"}}
    assert two.run("restore-snapshot", data, service="moving").state is State.SUCCEEDED
    assert digest(two.apps("web-2") / "moving") == before
    found = two.system.database.services.get("moving")
    assert found is not None and found.node == "web-2"
    assert (two.run("create-snapshot", {}, service="moving").owner or "").startswith("web-2|")


def test_work_for_a_node_that_is_away_waits_for_it_and_says_so(two: Platform) -> None:
    two.service("patient", node="web-2")
    two.stop("web-2")
    message_id = two.publish("create-snapshot", {}, service="patient")
    waiting = eventually(lambda: two.find(message_id), what="the command is accepted")
    assert waiting is not None
    assert "web-2" in two.system.database.waits_for(waiting)
    two.start("web-2")
    assert two.outcome(message_id).state is State.SUCCEEDED


def test_a_node_that_is_gone_for_good_is_left_by_restoring_elsewhere(two: Platform) -> None:
    tree = two.service("refugee", node="web-2")
    before = digest(tree)
    snapshot = two.snapshot("refugee")
    two.stop("web-2")
    data = {"snapshot_id": snapshot.snapshot_id, "target": {"node": "web-1"}}
    assert two.run("restore-snapshot", data, service="refugee").state is State.SUCCEEDED
    assert digest(two.apps("web-1") / "refugee") == before


def test_one_service_s_commands_are_done_in_order(two: Platform) -> None:
    two.service("ordered")
    messages = []
    for n in range(6):  # the order of acceptance counts, and two intakes share the border
        messages.append(two.publish("create-snapshot", {"labels": [f"n:{n}"]}, service="ordered"))
        eventually(lambda: two.find(messages[-1]), what="the command is accepted")
    ended = [two.outcome(message) for message in messages]
    fences = [operation.fence for operation in ended]
    assert fences == sorted(fences) and len(set(fences)) == 6
    assert list(reversed(two.listed("ordered"))) == [operation.op_id for operation in ended]


def test_a_drained_node_ends_its_work_and_another_takes_what_comes_after(two: Platform) -> None:
    two.service("either", node="web-1")
    two.system.database.nodes.drain("web-2", ROOT, "new disk")
    two.stop("web-2")
    two.start("web-2")
    assert {(two.run("verify-snapshot", {"snapshot_id": two.snapshot("either").snapshot_id}, service="either").owner
            or "").partition("|")[0] for _ in range(3)} == {"web-1"}  # fmt: skip
    two.system.database.nodes.undrain("web-2", ROOT, "")
    two.service("back", node="web-2")
    assert (two.run("create-snapshot", {}, service="back").owner or "").startswith("web-2|")


def test_what_waits_for_a_lost_node_is_moved_with_its_service_and_ends_there(two: Platform) -> None:
    before = digest(two.service("lost", node="web-2"))
    snapshot = two.snapshot("lost")
    two.stop("web-2")
    message_id = two.publish("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="lost")
    waiting = eventually(lambda: two.find(message_id), what="the command is accepted")
    assert waiting is not None
    two.system.database.nodes.drain("web-2", ROOT, "burnt")
    way = f"`backstay operations move {waiting.op_id} --to NODE` gives it to another node"
    assert way in two.system.database.waits_for(waiting)
    assert two.system.database.moves.move(waiting.op_id, "web-1", ROOT, "burnt") == ["lost"]
    ended = two.outcome(message_id)
    assert (ended.state, (ended.owner or "").partition("|")[0]) == (State.SUCCEEDED, "web-1"), ended.outcome
    assert digest(two.apps("web-1") / "lost") == before
    found = two.system.database.services.get("lost")
    assert found is not None and found.node == "web-1"


def test_a_snapshot_that_was_moved_to_a_node_without_the_directory_fails_and_says_so(two: Platform) -> None:
    two.service("elsewhere", node="web-2")
    two.stop("web-2")
    message_id = two.publish("create-snapshot", {}, service="elsewhere")
    waiting = eventually(lambda: two.find(message_id), what="the command is accepted")
    assert waiting is not None
    two.system.database.nodes.drain("web-2", ROOT, "")
    two.system.database.moves.move(waiting.op_id, "web-1", ROOT, "")
    ended = two.outcome(message_id)
    assert (ended.state, ended.error_code) == (State.FAILED, "directory-not-found"), ended.outcome


def test_work_that_waits_for_bandwidth_keeps_its_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only waiting moves: a minute and a half of it, with a lease of one minute."""
    slow = Platform(tmp_path, BACKSTAY_UPLOAD_LIMIT="96K", BACKSTAY_LEASE_SECONDS="60", BACKSTAY_ENCRYPTION="off")
    waited, renewals = [0.0], [0.0]
    ledger, boottime = type(slow.system.database.ledger), SystemClock.boottime
    renew = ledger.renew

    def wait(seconds: float) -> None:
        waited.append(waited[-1] + seconds)

    def renewed(self: Any, *arguments: Any) -> bool:
        renewals.append(waited[-1])
        return renew(self, *arguments)

    monkeypatch.setattr(SystemClock, "boottime", lambda self: boottime(self) + waited[-1])
    monkeypatch.setattr(ledger, "renew", renewed)
    monkeypatch.setattr(throttle, "Budget", lambda rate: Budget(rate, SystemClock().boottime, wait))
    try:
        slow.start("web-1")
        tree = slow.service("slow", node="web-1")
        (tree / "big").write_bytes(random.Random(7).randbytes(9_000_000))
        operation = slow.run("create-snapshot", {}, service="slow")
        assert (operation.state, operation.fence) == (State.SUCCEEDED, 2), operation.outcome
    finally:
        slow.close()
    assert waited[-1] > 60, "nothing waited for longer than the lease"
    assert max(later - sooner for sooner, later in pairwise([*renewals, waited[-1]])) < 60


def test_a_node_without_room_takes_no_snapshot_and_says_so(tmp_path: Path) -> None:
    full = Platform(tmp_path, BACKSTAY_KEEP_FREE="900000T")
    try:
        full.start("web-1")
        full.service("full", node="web-1")
        message_id = full.publish("create-snapshot", {}, service="full")
        waiting = eventually(lambda: full.find(message_id), what="the command is accepted")
        assert waiting is not None
        eventually(
            lambda: "have to stay free" in full.system.database.waits_for(waiting), what="it says what it waits for"
        )
    finally:
        full.close()


def test_the_services_of_a_lost_node_come_back_on_another_one_and_asking_twice_changes_nothing(
    two: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = {name: digest(two.service(name, node="web-2", seed=number)) for number, name in enumerate(("one", "two"))}
    for name in trees:
        two.snapshot(name)
    two.service("bare", node="web-2")
    two.stop("web-2")
    waits = two.publish("create-snapshot", {}, service="one")
    eventually(lambda: two.find(waits), what="the command is accepted")
    cli = CommandLine(two.home, monkeypatch)
    assert cli.run("nodes", "evacuate", "web-2", "--to", "web-1", "--yes").code == 1, "it was seen a moment ago"
    assert cli.run("nodes", "drain", "web-2", "--reason", "burnt").code == 0
    shown = cli.run("nodes", "evacuate", "web-2", "--to", "web-1", "--dry-run", "--json")
    plans = {one["service_id"]: one for one in shown.document()["services"]}
    assert (shown.code, set(plans)) == (3, {"one", "two", "bare"})
    assert (len(plans["one"]["cancels"]), plans["two"]["cancels"]) == (1, [])
    assert "no good snapshot" in plans["bare"]["trouble"] and plans["bare"]["next_step"]
    for _ in range(2):  # as text: a node of this process logs beside it
        asked = cli.run("nodes", "evacuate", "web-2", "--to", "web-1", "--yes")
        assert asked.code == 3, asked.err
    assert two.outcome(waits).state is State.CANCELLED
    for name, before in trees.items():
        eventually(lambda name=name: _home(two, name) == "web-1", what=f"{name} is back")  # type: ignore[misc]
        assert digest(two.apps("web-1") / name) == before
        restores = two.system.database.list_operations(service_id=name, kinds=["restore-snapshot"])
        assert [one.state for one in restores] == [State.SUCCEEDED]


def _home(two: Platform, name: str) -> str | None:
    found = two.system.database.services.get(name)
    return found.node if found else None
