"""The power cuts of `make prove` find a directory that is not fsynced: one is left out on purpose, for each disk.

Apart from tests/prove, which looks for such a mistake in the product: here is whether it would see one. SQLite's own
fsyncs are not left out, as they are not ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from storage.archive import trees
from storage.objects import file
from tests.chaos.victim import Death
from tests.chaos.world import World
from tests.prove import disk, listener
from workers.transports import spool

pytestmark = pytest.mark.skipif(bool(disk.missing()), reason=disk.missing())

#: Cuts the power at one of these points after the other until something is wrong, and says what.
Cuts = Callable[[Sequence[Death]], list[str]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return disk.begin(tmp_path_factory.mktemp("power"))[0]


@pytest.fixture
def cuts(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cuts:
    monkeypatch.setattr(listener, "PATIENCE", 1.0)  # nothing else is under way

    def at(deaths: Sequence[Death]) -> list[str]:
        found = disk.Found()
        for death in deaths:
            disk.power_cut(world, death, tmp_path, found)
            if found.bad:
                break
        assert found.points, f"the power was not cut: {found}"
        return found.bad

    return at


def unsynced(folder: object) -> None:
    """In place of a function that fsyncs a directory."""


def settled(number: int) -> list[Death]:
    """Three cuts at the same point: a sync(2) of any other program may have come to the node's rescue."""
    return [Death("settle.after-commit", number)] * 3


def test_a_store_that_does_not_fsync_its_folders_is_found(cuts: Cuts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest is the last thing that is stored before the commit that calls its snapshot available."""
    assert cuts(settled(1)[:1]) == []
    monkeypatch.setattr(file, "_fsync_folder", unsynced)
    (sentence,) = cuts(settled(1))
    assert "ObjectMissing" in sentence


def test_a_spool_that_does_not_fsync_its_folders_is_found(cuts: Cuts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event that was told last: the fsync of a later one would make the name of an earlier one durable too.

    The relay tells one end at a time or several, so that not every run comes by so often.
    """
    told = [Death("relay.after-sent", hit) for hit in (3, 4, 2)]
    assert cuts(told[:1]) == []
    monkeypatch.setattr(spool, "_sync", unsynced)
    (sentence,) = cuts(told)
    assert "what a listener has heard" in sentence


def test_a_swap_of_trees_that_is_not_fsynced_is_found(cuts: Cuts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restore is the second that settles; what it staged is synced before the swap, the swap after it."""
    assert cuts(settled(2)[:1]) == []
    monkeypatch.setattr(trees, "_fsync", unsynced)
    (sentence,) = cuts(settled(2))
    assert "restores to something else" in sentence
