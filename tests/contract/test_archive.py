"""The archive on every store: a snapshot, its successor and its restore; and what a killed writer leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from domain import failpoint
from domain.contracts import Garbage
from domain.errors import ObjectMissing
from storage.store import open_store
from tests.dying import Killed, after
from tests.unit.storage_archive.workshop import Workshop, describe, plant, row_of


@pytest.fixture
def shop(tmp_path: Path, store_url: str) -> Workshop:
    return Workshop(tmp_path, store=open_store(store_url), encryption=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "app"
    made.mkdir()
    plant(made)
    (made / "noise").write_bytes(os.urandom(20_000_000))
    return made


def test_a_snapshot_and_its_successor_come_back_equal(shop: Workshop, tree: Path) -> None:
    """RS-05"""
    first = shop.create(tree, configuration={"env": {"A": "1"}})
    before = describe(tree)
    (tree / "noise").write_bytes(os.urandom(1_000_000))
    second = shop.create(tree, "s2", parent=row_of(first))

    assert describe(Path(shop.stage(first, name="1").path)) == before
    assert describe(Path(shop.stage(second, name="2").path)) == describe(tree)
    assert shop.archive.read(first.manifest_key) == first


def test_killed_anywhere_nothing_is_visible_and_trying_again_succeeds(
    shop: Workshop, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RS-13, FZ-03: at every point that a whole run passes."""
    shop.keys.obtain("acme")  # once per tenant; what dies while making it has a test of its own
    passed: list[str] = []
    monkeypatch.setattr(failpoint, "hook", passed.append)
    shop.create(tree, "whole")
    assert "object.before-put" in passed and "archive.before-publish" in passed

    for number in range(len(passed)):
        name = f"s-{number}"
        monkeypatch.setattr(failpoint, "hook", after(number))
        with pytest.raises((Killed, RuntimeError)):  # of a thread that died only that it has ended is told
            shop.create(tree, name)
        monkeypatch.setattr(failpoint, "hook", lambda point: None)
        visible = shop.store.size(shop.archive.manifest_key("acme", "web", name)) is not None
        assert visible == ("archive.before-publish" in passed[:number] and passed[number] != "object.before-create")
        again = shop.create(tree, name)
        assert shop.archive.read(again.manifest_key) == again


def test_deleting_leaves_nothing_of_a_snapshot(shop: Workshop, tree: Path) -> None:
    summary = shop.create(tree)
    rows = [Garbage(summary.manifest_key, False, 0), Garbage(shop.archive.pack_prefix("acme", "s1"), True, 0)]

    shop.archive.collect(rows, lambda prefix: set())
    shop.archive.collect(rows, lambda prefix: set())

    assert [info.key for info in shop.store.list("tenants/")] == ["tenants/acme/key"]
    with pytest.raises(ObjectMissing):
        shop.archive.read(summary.manifest_key)
