"""restore-snapshot in part, at a date, as a clone, and without doing it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.operation import Operation, State
from domain.outcome import AddSnapshot, Outcome
from domain.snapshot import Snapshot, SnapshotState
from tests.acceptance.platform import Platform, code, digest, grow
from tests.command_line import CommandLine, answer_of
from tests.contract.sql_bench import snapshot as row


@pytest.fixture(scope="module")
def cloning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose node knows which files are a service's identity."""
    made = Platform(tmp_path_factory.mktemp("cloning"), BACKSTAY_IDENTITY_FILES="/host.key:*.pid")
    made.start("web-1")
    yield made
    made.close()


def restore(platform: Platform, service: str, **data: object) -> Operation:
    return platform.run("restore-snapshot", dict(data), service=service)


def told(operation: Operation) -> tuple[dict[str, int], dict[str, str]]:
    assert operation.outcome is not None
    figures = operation.outcome["figures"]
    counts = {name: figures[name] for name in ("restored", "updated", "unchanged", "deleted")}
    return counts, {item["name"]: item["code"] for item in operation.outcome["items"]}


# ---------------------------------------------------------------- paths
def test_only_the_chosen_paths_come_back_and_the_rest_stays(platform: Platform) -> None:
    tree = platform.service("rc-paths")
    snapshot = platform.snapshot("rc-paths")
    spoilt, kept = sorted((tree / "lib").glob("*.txt"))[:2]
    original = spoilt.read_bytes()
    for path in (spoilt, kept):
        path.write_text("changed since")
    (tree / "new.txt").write_text("new")
    operation = restore(platform, "rc-paths", snapshot_id=snapshot.snapshot_id, paths=[str(spoilt.relative_to(tree))])
    assert operation.state is State.SUCCEEDED, operation.outcome
    assert (spoilt.read_bytes(), kept.read_text(), (tree / "new.txt").read_text()) == (original, "changed since", "new")


def test_a_path_that_is_not_there_is_refused_and_nothing_changes(platform: Platform) -> None:
    tree = platform.service("rc-absent")
    snapshot = platform.snapshot("rc-absent")
    before = digest(tree)
    operation = restore(platform, "rc-absent", snapshot_id=snapshot.snapshot_id, paths=["../etc/passwd"])
    assert code(operation) == (State.FAILED, "path-not-in-snapshot")
    assert digest(tree) == before


def test_a_part_that_reads_well_does_not_make_a_damaged_snapshot_available(platform: Platform) -> None:
    """RS-16: a verdict over all bytes is lifted by reading all bytes."""
    tree = platform.service("rc-part")
    (tree / "small.txt").write_text("small")
    snapshot = platform.snapshot("rc-part", include=["data"])
    pack = platform.home / "store" / snapshot.packs[0]
    data = pack.read_bytes()
    pack.unlink()
    restore(platform, "rc-part", snapshot_id=snapshot.snapshot_id)
    pack.write_bytes(data)
    done = restore(platform, "rc-part", snapshot_id=snapshot.snapshot_id, paths=["small.txt"])
    row_now = platform.system.database.catalogue.get(snapshot.snapshot_id)
    assert done.state is State.SUCCEEDED, done.outcome
    assert row_now is not None and row_now.state is SnapshotState.CORRUPT


def test_a_service_cannot_be_moved_by_restoring_a_part_of_it(platform: Platform) -> None:
    platform.service("rc-move")
    snapshot = platform.snapshot("rc-move")
    data = {"snapshot_id": snapshot.snapshot_id, "paths": ["lib"], "target": {"node": "web-2"}}
    assert "cannot move" in platform.letter_reason(platform.publish("restore-snapshot", data, service="rc-move"))


# ---------------------------------------------------------------- without doing it
def test_a_dry_run_tells_what_would_happen_and_changes_nothing(platform: Platform) -> None:
    tree = platform.service("rc-dry")
    snapshot = platform.snapshot("rc-dry")
    gone, changed = sorted((tree / "lib").glob("*.txt"))[:2]
    gone.unlink()
    changed.write_text("changed")
    (tree / "extra").mkdir()
    (tree / "extra" / "one.txt").write_text("one")
    before = digest(tree)
    operation = restore(platform, "rc-dry", snapshot_id=snapshot.snapshot_id, dry_run=True)
    counts, listed = told(operation)
    assert operation.state is State.SUCCEEDED
    assert digest(tree) == before
    assert listed[f"lib/{gone.name}"] == "restored"
    assert listed[f"lib/{changed.name}"] == "updated"
    assert listed["extra"] == "deleted"
    assert (counts["restored"], counts["deleted"]) == (1, 1)
    assert counts["unchanged"] > 20
    restore(platform, "rc-dry", snapshot_id=snapshot.snapshot_id)
    again, _ = told(restore(platform, "rc-dry", snapshot_id=snapshot.snapshot_id, dry_run=True))
    assert (again["restored"], again["updated"], again["deleted"]) == (0, 0, 0)


def test_a_dry_run_looks_through_no_link(platform: Platform, tmp_path: Path) -> None:
    tree = platform.service("rc-link")
    snapshot = platform.snapshot("rc-link")
    elsewhere = tmp_path / "elsewhere"
    (tree / "lib").rename(elsewhere)
    (tree / "lib").symlink_to(elsewhere)
    counts, listed = told(restore(platform, "rc-link", snapshot_id=snapshot.snapshot_id, dry_run=True))
    assert listed["lib"] == "updated"
    assert counts["restored"] == len(list(elsewhere.rglob("*")))


def test_the_difference_is_told_on_the_screen(platform: Platform) -> None:
    tree = platform.service("rc-diff")
    snapshot = platform.snapshot("rc-diff")
    (tree / "current").unlink()
    environment = {"BACKSTAY_DATA_DIR": str(platform.home), "BACKSTAY_NODE": "observer"}
    answer = answer_of(["snapshots", "diff", snapshot.snapshot_id], environment)
    assert "restored: current\n" in answer.out
    assert "left out" not in answer.out
    assert "nothing was changed" in answer.out
    assert not os.path.lexists(tree / "current")


# ---------------------------------------------------------------- at a date
def test_at_a_time_the_newest_from_then_or_before_is_taken(platform: Platform) -> None:
    """FZ-18."""
    tree = platform.service("rc-at")
    first = platform.snapshot("rc-at")
    before = digest(tree)
    grow(tree, seed=4, files=3)
    second = platform.snapshot("rc-at")
    between = datetime.fromtimestamp(second.taken_at / 1000, UTC) - timedelta(milliseconds=1)
    operation = restore(platform, "rc-at", at=between.isoformat())
    assert operation.outcome is not None
    assert operation.outcome["figures"]["snapshot_id"] == first.snapshot_id
    assert digest(tree) == before


def test_before_the_first_snapshot_there_is_none_and_never_the_newest(platform: Platform) -> None:
    """FZ-18."""
    tree = platform.service("rc-early")
    platform.snapshot("rc-early")
    before = digest(tree)
    assert code(restore(platform, "rc-early", at="2001-01-01T00:00:00Z")) == (State.FAILED, "snapshot-not-found")
    assert digest(tree) == before


@pytest.mark.parametrize("data", [{"at": "2026-11-20T09:00:00"}, {"at": "yesterday"}, {}])
def test_a_time_that_could_be_two_is_refused_at_the_door(platform: Platform, data: dict[str, str]) -> None:
    message = platform.publish("restore-snapshot", data, service="rc-door")
    assert "at" in platform.letter_reason(message)


def test_the_command_line_prints_the_chosen_snapshot_for_the_exact_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FZ-18: the second itself is included; a night in which clocks are set back is no exception."""
    cli = CommandLine(tmp_path / "data", monkeypatch)
    assert cli.run("migrate").code == 0
    moments = ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]  # an hour apart, and read the same
    for number, text in enumerate(moments):
        taken_at = round(datetime.fromisoformat(text).timestamp() * 1000)
        settle(cli, row(f"s{number}", taken_at=taken_at))
    for number, text in enumerate(moments):
        arguments = ["snapshots", "restore", "--service", "web", "--at", text, "--timeout", "0"]
        assert f"snapshot s{number}, taken" in cli.run(*arguments).out
    early = cli.run("snapshots", "restore", "--service", "web", "--at", "2026-10-25T02:29:59+02:00")
    assert early.code == 10


def settle(cli: CommandLine, record: Snapshot) -> None:
    op_id = cli.accept("create-snapshot", "web", f"take-{record.snapshot_id}")
    assert op_id
    changes = (AddSnapshot(dataclasses.replace(record, service_id="web")),)
    cli.system.database.ledger.settle(cli.claim(), Outcome.succeeded("taken", changes=changes))


# ---------------------------------------------------------------- as a clone
def test_a_clone_leaves_the_identity_of_the_original_behind(cloning: Platform) -> None:
    """RS-23."""
    tree = cloning.service("rc-original")
    (tree / "host.key").write_text("the original's")
    (tree / "lib" / "run.pid").write_text("17")
    snapshot = cloning.snapshot("rc-original")
    for service, profile, has in (("rc-clone", "clone", False), ("rc-same", "same-service", True)):
        cloning.run("register-service", {"node": "web-1"}, service=service)
        operation = restore(cloning, service, snapshot_id=snapshot.snapshot_id, profile=profile)
        assert operation.state is State.SUCCEEDED, operation.outcome
        made = cloning.apps("web-1") / service
        assert ((made / "host.key").exists(), (made / "lib" / "run.pid").exists()) == (has, has)
        assert len(list((made / "lib").glob("*.txt"))) == len(list((tree / "lib").glob("*.txt")))


def test_a_node_that_does_not_know_what_identity_is_refuses_to_clone(platform: Platform) -> None:
    platform.service("rc-unknown")
    snapshot = platform.snapshot("rc-unknown")
    operation = restore(platform, "rc-unknown", snapshot_id=snapshot.snapshot_id, profile="clone")
    assert code(operation) == (State.FAILED, "no-identity-files")


# ---------------------------------------------------------------- what is fetched, and what is read again
def test_only_what_the_target_no_longer_has_is_fetched_and_the_outcome_says_so(platform: Platform) -> None:
    """RS-17"""
    tree = platform.service("rc-fetched")
    for name in ("one.bin", "two.bin"):
        (tree / name).write_bytes(os.urandom(8 << 20))
    snapshot = platform.snapshot("rc-fetched")
    before = digest(tree)
    (tree / "two.bin").unlink()
    operation = restore(platform, "rc-fetched", snapshot_id=snapshot.snapshot_id, verify=True)
    assert operation.state is State.SUCCEEDED and operation.outcome is not None, operation.outcome
    figures = operation.outcome["figures"]
    assert figures["reused"] >= 4 << 20 and 8 << 20 <= figures["fetched"] < 14 << 20
    assert figures["kept"] == 0
    assert digest(tree) == before
