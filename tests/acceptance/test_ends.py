"""What is left when work on a snapshot fails, is cancelled, or cannot clean up: the source, the target and the list."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import Refused, StoreUnavailable
from domain.operation import State
from domain.snapshot import Snapshot, SnapshotState
from storage.archive.trees import AppsRoot
from storage.objects.file import FileStore
from storage.sql.tables import garbage
from tests.acceptance.platform import Platform, code, digest, grow
from tests.waiting import eventually
from workers.runtime import NodeProcess
from workers.watch import LeaseWatch


@pytest.fixture(scope="module")
def node(platform: Platform) -> NodeProcess:
    """A second node, whose duties a test can call."""
    return platform.start("ends-1")


def manifests(platform: Platform, service: str) -> list[str]:
    return [info.key for info in platform.system.store.list(f"tenants/acme/services/{service}/")]


def state(platform: Platform, snapshot: Snapshot) -> SnapshotState | None:
    row = platform.system.database.catalogue.get(snapshot.snapshot_id)
    return None if row is None else row.state


def test_a_store_that_will_not_delete_one_of_five_keeps_no_snapshot_listed_and_is_asked_again(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RS-11: keys are kept and never built anew, so no setting can make deleting miss them."""
    tree = platform.service("en-five")
    taken = []
    for number in range(5):
        grow(tree, seed=number, files=2)
        taken.append(platform.snapshot("en-five"))
    real = FileStore.delete

    def refusing(store: FileStore, keys: Iterable[str]) -> None:
        wanted = list(keys)
        if any(taken[2].snapshot_id in key for key in wanted):
            raise StoreUnavailable("the disk is read-only")
        real(store, wanted)

    monkeypatch.setattr(FileStore, "delete", refusing)
    ended = [platform.run("delete-snapshot", {"snapshot_id": one.snapshot_id}, service="en-five") for one in taken]
    assert [operation.state for operation in ended] == [State.SUCCEEDED] * 5
    told = [operation.outcome["complete"] for operation in ended if operation.outcome]
    assert told[:3] == [True, True, False], "it is said that objects are left"
    assert platform.listed("en-five") == []
    assert taken[2].manifest_key in manifests(platform, "en-five")

    monkeypatch.undo()
    grow(tree, seed=9, files=2)
    last = platform.snapshot("en-five")
    platform.run("delete-snapshot", {"snapshot_id": last.snapshot_id}, service="en-five")
    assert manifests(platform, "en-five") == []
    assert {platform.system.store.size(pack) for one in (*taken, last) for pack in one.packs} == {None}


def test_a_snapshot_that_fails_is_in_no_list_and_leaves_its_source_as_it_was(platform: Platform) -> None:
    """CN-21: there is no row in a state `error`; the operation has the reason, and the next one is not held up."""
    tree = platform.service("en-source")
    before = digest(tree)
    tree.rename(tree.with_name("en-source-away"))
    operation = platform.run("create-snapshot", {}, service="en-source")
    assert code(operation) == (State.FAILED, "directory-not-found")
    assert platform.listed("en-source") == [] and manifests(platform, "en-source") == []
    tree.with_name("en-source-away").rename(tree)
    assert digest(tree) == before
    assert platform.snapshot("en-source").snapshot_id == platform.listed("en-source")[0]


def test_a_restore_that_fails_says_nothing_about_the_snapshot_and_leaves_both_kinds_of_target(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CN-22: a target that cannot take it is the target's fault; an existing one is as before, a new one is absent."""
    tree = platform.service("en-target")
    snapshot = platform.snapshot("en-target")
    grow(tree, seed=3, files=2)
    before = digest(tree)

    def refusing(*arguments: Any, **more: Any) -> None:
        raise Refused("the file system cannot exchange two directories")

    monkeypatch.setattr(AppsRoot, "swap", refusing)
    for target in ({}, {"directory": "en-target-copy"}):
        data = {"snapshot_id": snapshot.snapshot_id, "target": target}
        ended = platform.run("restore-snapshot", data, service="en-target")
        assert ended.state is State.ROLLED_BACK and "cannot exchange" in str(ended.outcome)
        assert (digest(tree), state(platform, snapshot)) == (before, SnapshotState.AVAILABLE)
    assert not (platform.apps("web-1") / "en-target-copy").exists()
    monkeypatch.undo()
    data = {"snapshot_id": snapshot.snapshot_id}
    assert platform.run("restore-snapshot", data, service="en-target").state is State.SUCCEEDED


def test_a_clean_up_that_fails_spoils_no_success_and_is_done_later(
    platform: Platform, node: NodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CN-24, I17."""
    tree = platform.service("en-clean", node="ends-1")
    snapshot = platform.snapshot("en-clean")
    before = digest(tree)
    grow(tree, seed=4, files=2)
    real = AppsRoot.discard

    def busy(trees: AppsRoot, op_id: str, *more: Any) -> None:
        if op_id in trees.staged_operations():
            raise OSError(errno.EBUSY, "busy")
        real(trees, op_id, *more)

    monkeypatch.setattr(AppsRoot, "discard", busy)
    operation = platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="en-clean")
    assert operation.state is State.SUCCEEDED
    assert (digest(tree), state(platform, snapshot)) == (before, SnapshotState.AVAILABLE)
    left = platform.apps("ends-1") / ".backstay"
    assert os.listdir(left) == [operation.op_id]

    monkeypatch.undo()
    node.sweeper.discard_staging()
    assert os.listdir(left) == []


def test_a_snapshot_that_is_cancelled_while_it_is_taken_stops_and_what_it_stored_is_nobody_s(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CN-25, I17: its manifest's key and its packs are garbage from the moment it ends."""
    tree = platform.service("en-cancel")
    (tree / "endless").write_bytes(os.urandom(1 << 20))
    before, real, check = digest(tree), os.preadv, LeaseWatch.check
    reading: list[str] = []

    def slow(handle: int, buffers: Any, offset: int) -> int:
        if os.readlink(f"/proc/self/fd/{handle}").startswith(f"{tree}/"):
            reading.append(found.op_id if (found := platform.find(message)) else "")
            eventually(lambda: (now := platform.find(message)) and now.cancel_requested, what="it is to be cancelled")
        return real(handle, buffers, offset)

    def impatient(watch: LeaseWatch) -> None:
        watch._next = 0.0  # asks the database each time instead of each second
        check(watch)

    monkeypatch.setattr(os, "preadv", slow)
    monkeypatch.setattr(LeaseWatch, "check", impatient)
    message = "en-cancel-1"
    platform.publish("create-snapshot", {}, service="en-cancel", id=message)
    eventually(lambda: reading, what="a file is being read")
    op_id = reading[0]
    assert platform.run("cancel-operation", {"operation_id": op_id}, service="en-cancel").state is State.SUCCEEDED
    assert code(platform.outcome(message)) == (State.CANCELLED, "cancelled")
    monkeypatch.undo()

    assert platform.listed("en-cancel") == [] and manifests(platform, "en-cancel") == []
    assert digest(tree) == before
    archive, engine = platform.system.archive, sa.create_engine(platform.system.settings.database_url)
    with engine.connect() as connection:
        keys = set(connection.scalars(sa.select(garbage.c.object_key)))
    engine.dispose()
    assert {archive.manifest_key("acme", "en-cancel", op_id), archive.pack_prefix("acme", op_id)} <= keys
    assert platform.snapshot("en-cancel").snapshot_id != op_id


def test_services_whose_names_begin_alike_share_no_history(platform: Platform) -> None:
    """FZ-29: whatever is deleted of one, the others have all of theirs."""
    names = ("fz29-a", "fz29-a-b", "fz29-a.b", "fz29-a_b")
    trees = {name: platform.service(name, seed=number) for number, name in enumerate(names)}
    taken = {name: [platform.snapshot(name)] for name in names}
    for name in names:
        assert taken[name][0].parent_id is None, "the first one of a service has no parent"
        assert platform.listed(name) == [taken[name][0].snapshot_id]
    before = {name: digest(tree) for name, tree in trees.items()}
    platform.run("delete-snapshot", {"snapshot_id": taken["fz29-a"][0].snapshot_id}, service="fz29-a")
    assert platform.listed("fz29-a") == []
    for name in names[1:]:
        grow(trees[name], seed=50, files=2)
        data = {"snapshot_id": taken[name][0].snapshot_id}
        assert platform.run("restore-snapshot", data, service=name).state is State.SUCCEEDED
        assert digest(trees[name]) == before[name]
