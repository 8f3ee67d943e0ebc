"""Upgrades that cannot be put back or kill their workers: locked or ended, and told; and what a person says of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from domain.configuration import Configuration
from domain.operation import Budget, State
from domain.outcome import Outcome
from domain.upgrade_record import Status
from tests.chaos.stuck_world import (
    REFUSED_BACK,
    WILLING,
    Ordeal,
    find,
    has_ended_once,
    is_as_before,
    is_locked_and_reported,
    opened,
    prepare,
)
from tests.chaos.upgrade_world import UpgradeWorld, install
from tests.chaos.victim import Death, deaths
from tests.dying import SIDES, killed
from tests.fakes.region import RegionDouble

#: Of a node that soon gives up putting back.
HASTY = Budget(max_undo_attempts=2, backoff_base=0.01, backoff_cap=0.02)
#: Of one that soon takes an operation for poison.
WARY = Budget(max_claims=1, backoff_base=0.01, backoff_cap=0.02)
#: What belongs to this operation; all else is reached whatever there is to do, and has matrices of its own.
ON_THE_WAY = ("turn-back", "bump", "region", "undo", "retry-later", "settle", "relay", "outbox-sent")
#: Between these and their neighbours nothing is written or sent.
BESIDE = ("region.before-call", "region.after-call", "relay.before-sent", "relay.after-sent")
ALL = os.environ.get("BACKSTAY_KILLS") == "all"
#: What the upgrade had changed of variables when it was refused, newest first. A section goes back in the turn of its
#: oldest item, so ports have gone back before variables are refused.
LEFT = ("connect_info/GRA7755B9090_PORT", "connect_info/GRA7755B9090_HOST", "connect_info/WEB_ADMIN_PASS",
        "env/CACHE_URL")  # fmt: skip
#: More deaths than any operation may cost.
TOO_MANY = 20


@dataclass(frozen=True, slots=True)
class Stuck:
    """The same upgrade before it turns back and once it is STUCK, and every failpoint between the two."""

    turning: Ordeal
    locked: Ordeal
    trace: tuple[str, ...]
    root: dict[str, Any]  # of the region, before the upgrade


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpgradeWorld]:
    with RegionDouble(fenced=True) as region:
        yield install(tmp_path_factory.mktemp("installed") / "data", region, fenced=True)


@pytest.fixture(scope="module")
def stuck(installed: UpgradeWorld, tmp_path_factory: pytest.TempPathFactory) -> Stuck:
    home = tmp_path_factory.mktemp("stuck")
    turning = prepare(installed, REFUSED_BACK, HASTY, home / "data")
    assert turning.until_upgraded(Death("turn-back.before-commit", 1)).killed
    root, turning = turning.world.root, turning.as_it_is()
    locked = turning.copy_to(home / "locked")
    end = locked.until_upgraded()
    assert end.exit_code == 0, "without a death nobody finished"
    return Stuck(turning, locked.as_it_is(), end.trace, root)


def points_of(trace: tuple[str, ...]) -> list[Death]:
    """Where a node can die between turning back and the end: the last hit of a failpoint, for at the first the region
    may still take what it is told; with ALL the first as well, and those beside others."""
    found = [death for death in deaths(trace) if death.point.partition(".")[0] in ON_THE_WAY]
    last = {death.point: death for death in found if death.point not in BESIDE}
    return found if ALL else list(last.values())


@pytest.mark.timeout(1800)
def test_what_cannot_be_put_back_is_locked_and_reported_once_wherever_its_workers_die(
    stuck: Stuck, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    """I2, I5, I7: from the turning back to the event."""
    points = points_of(stuck.trace)
    assert {death.point.partition(".")[0] for death in points} == set(ON_THE_WAY)
    is_locked_and_reported(stuck.locked.copy_to(tmp_path / "nobody-dies"), "undo-failed", LEFT, ("envs",))
    for number, death in enumerate(points):
        with subtests.test(msg=str(death)):
            ordeal = stuck.turning.copy_to(tmp_path / str(number))
            assert ordeal.until_upgraded(death).killed, f"{death} was not reached"
            assert ordeal.until_upgraded().exit_code == 0, f"after {death} nobody finished"
            is_locked_and_reported(ordeal, "undo-failed", LEFT, ("envs",))


@dataclass(frozen=True, slots=True)
class Word:
    """How the upgrade ends by it, and where the node dies that goes on after it."""

    state: State
    status: Status
    version: str  # of the console, afterwards
    points: tuple[str, ...] = ()


WORDS = {
    "retry": Word(State.ROLLED_BACK, Status.UPGRADE_FAILED, "v1.0", ("undo.after-commit", "settle.before-commit")),
    "accept": Word(State.ROLLED_BACK, Status.UPGRADE_FAILED, "v1.0"),
    "force": Word(State.SUCCEEDED, Status.UPGRADED, "v2.0"),
}


@pytest.mark.parametrize("how", WORDS)
def test_a_persons_word_ends_it_once_on_whichever_side_of_its_commit_somebody_is_killed(
    how: str, stuck: Stuck, tmp_path: Path
) -> None:
    """I2, I5, I20, L1, L2: it is said again, and a node goes on, which for a retry dies on its way as well."""
    word = WORDS[how]
    for side, point in zip_longest(SIDES, word.points):
        ordeal = stuck.locked.copy_to(tmp_path / side)
        _mend(ordeal, stuck.root if how == "accept" else None)
        killed(f"resolve.{side}-commit", partial(ordeal.resolve, how))
        again = ordeal.resolve(how)
        assert (again.code == 0) is (side == "before"), again.err
        assert not point or ordeal.until_over(Death(point, 1)).killed, f"{point} was not reached"
        assert ordeal.until_over().exit_code == 0, "nobody finished"
        has_ended_once(ordeal, word.state, word.status, told=["stuck", _told(word.state)])
        with opened(ordeal) as system:
            assert len(system.database.audit.list(action="operation.resolve")) == 1
            web = system.database.services.get(ordeal.world.names.web)
            assert web is not None and Configuration.load(web.document).origin["version"] == word.version
        if how != "force":
            is_as_before(ordeal)
        assert (ordeal.world.region.calls() > 0) is (how == "retry"), "who says how it is is believed"


def _mend(ordeal: Ordeal, root: dict[str, Any] | None) -> None:
    """The region refuses nothing any more; with `root` somebody has put it back by hand."""
    if root is not None:
        ordeal.world.region.put_state(root)
    ordeal.world.region.script()


def _told(state: State) -> str:
    return Outcome(state, "").event_name()


# ---------------------------------------------------------------- poison
def dies_again_and_again(ordeal: Ordeal, point: str) -> int:
    """One worker after another dies there, until one ends it without coming there; how many have died."""
    for died in range(TOO_MANY):
        end = ordeal.until_upgraded(Death(point, 1))
        if not end.killed:
            assert end.exit_code == 0, "nobody finished"
            return died
    pytest.fail(f"{TOO_MANY} workers have died at {point}, and it goes on")


def _poisoned(installed: UpgradeWorld, home: Path, point: str) -> Ordeal:
    ordeal = prepare(installed, WILLING, WARY, home / "data")
    assert dies_again_and_again(ordeal, point) > WARY.max_claims
    with opened(ordeal) as system:
        assert find(system, ordeal.upgrade).error_code == "poison"
    return ordeal


def test_what_kills_its_workers_before_it_has_touched_anything_fails_once(
    installed: UpgradeWorld, tmp_path: Path
) -> None:
    """I2, I5: with a dead letter."""
    ordeal = _poisoned(installed, tmp_path, "archive.before-publish")
    assert ordeal.until_over().exit_code == 0
    has_ended_once(ordeal, State.FAILED, Status.UPGRADE_FAILED, told=["failed"], letters=["poison"])
    is_as_before(ordeal)


def test_what_kills_its_workers_half_way_is_put_back_once(installed: UpgradeWorld, tmp_path: Path) -> None:
    """I2, I5, I20."""
    ordeal = _poisoned(installed, tmp_path, "advance.before-commit")
    assert ordeal.until_over().exit_code == 0
    has_ended_once(ordeal, State.ROLLED_BACK, Status.UPGRADE_FAILED, told=["rolled-back"])
    is_as_before(ordeal)


def test_what_kills_its_workers_on_the_way_back_too_is_locked_until_a_retry_puts_it_back(
    installed: UpgradeWorld, tmp_path: Path
) -> None:
    """I2, I5, I20: and it says what may have been touched."""
    ordeal = _poisoned(installed, tmp_path, "region.before-call")
    is_locked_and_reported(ordeal, "poison", left=["env/CACHE_URL"], holds=())
    assert ordeal.resolve("retry").code == 0
    assert ordeal.until_over().exit_code == 0
    has_ended_once(ordeal, State.ROLLED_BACK, Status.UPGRADE_FAILED, told=["stuck", "rolled-back"])
    is_as_before(ordeal)
