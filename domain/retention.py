"""Which snapshots of a service to keep, and why: pure, so that what is shown is what is done.

The rules are those that restic and borg have made familiar: of each period that has a snapshot the newest is kept,
for so many periods. Apart from deleting because a decision has to be explained before it is carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from domain.errors import InvalidMessage
from domain.snapshot import Consistency, Snapshot, SnapshotState

#: How far the time of a snapshot may be ahead of a decision without a clock being wrong, in milliseconds: each is the
#: database's of a claim, carried on by a process's own clock, and those of two hosts do not run equally fast.
AHEAD_MS = 60_000


@dataclass(frozen=True, slots=True)
class Policy:
    """How many to keep of each period; 0 is a rule that keeps nothing. At least one rule must keep something."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0  # ISO weeks, from Monday
    monthly: int = 0
    yearly: int = 0
    within_days: int = 0  # everything younger
    zone: str = "UTC"  # whose hours, days, weeks, months and years

    def document(self) -> dict[str, Any]:
        """The JSON form; rules that keep nothing are left out."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def load(cls, document: dict[str, Any]) -> Policy:
        """The policy that `document` was made of. Raises InvalidMessage for one that cannot be meant."""
        policy = cls(**document)
        counts = {name: value for name, value in asdict(policy).items() if name != "zone"}
        if not any(counts.values()):
            raise InvalidMessage("a retention policy must keep something: every rule is 0", field="policy")
        try:
            ZoneInfo(policy.zone)
        except (ValueError, OSError, KeyError):
            raise InvalidMessage(f"zone: no time zone {policy.zone!r}", field="policy.zone") from None
        return policy


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one snapshot; `reasons` say why it is kept, and are empty when it goes."""

    snapshot: Snapshot
    reasons: tuple[str, ...]

    @property
    def keep(self) -> bool:
        """Whether it stays."""
        return bool(self.reasons)


def decide(policy: Policy, snapshots: Sequence[Snapshot], *, now_ms: int, needed: Iterable[str] = ()) -> list[Decision]:
    """A decision for each snapshot of one service, newest first. `needed`: ids that something else refers to.

    Whatever the policy says: what is pinned, needed or damaged stays, and so do the newest snapshot, the newest
    that is whole and the newest that was read back. Each part is looked at by itself: one of the configuration
    only keeps no place from the data of the day, and never lets it go. A damaged one fills no period, because it may
    not be restorable, and neither does one whose time is yet to come: a clock was wrong, and it would stand in the way
    of all that are really newer. One that was taken to protect a change fills none either, and is not the only newest:
    it holds what was to be changed, a broken database perhaps, and nobody asked for it.
    """
    ordered = sorted(snapshots, key=lambda one: (one.taken_at, one.snapshot_id), reverse=True)
    sound = [one for one in ordered if one.state is SnapshotState.AVAILABLE and one.taken_at <= now_ms + AHEAD_MS]
    reasons: dict[str, list[str]] = {one.snapshot_id: [] for one in ordered}
    _exempt(ordered, reasons, set(needed))
    for one in ordered:
        if one.taken_at > now_ms + AHEAD_MS:
            reasons[one.snapshot_id].append("its time is yet to come: a clock is wrong")
    for words, alike in _by_part(sound):
        _keep_newest(words, alike, reasons)
        for name, most, period in _rules(policy):
            _keep_newest_of_each(name, most, period, words, _own(alike), reasons)
    youngest = now_ms - timedelta(days=policy.within_days) // timedelta(milliseconds=1)
    for one in sound:
        if policy.within_days and one.taken_at >= youngest:
            reasons[one.snapshot_id].append(f"younger than {policy.within_days} days")
    return [Decision(one, tuple(reasons[one.snapshot_id])) for one in ordered]


def _by_part(sound: Sequence[Snapshot]) -> list[tuple[str, list[Snapshot]]]:
    """The snapshots that can stand for each other, with words for what they have in common; none when all are alike."""
    if len({frozenset(one.include) for one in sound}) <= 1:
        return [("", list(sound))]
    parts = sorted({part for one in sound for part in one.include})
    return [(f" with {part}", [one for one in sound if part in one.include]) for part in parts]


def _exempt(ordered: Sequence[Snapshot], reasons: dict[str, list[str]], needed: set[str]) -> None:
    for one in ordered:
        if one.pinned:
            reasons[one.snapshot_id].append(f"pinned: {one.pinned}")
        if one.snapshot_id in needed:
            reasons[one.snapshot_id].append("an upgrade could be rolled back to it")
        if one.state is SnapshotState.CORRUPT:
            reasons[one.snapshot_id].append("damaged: a person decides")


def _keep_newest(words: str, alike: Sequence[Snapshot], reasons: dict[str, list[str]]) -> None:
    of_all = _newest(alike)
    for what, one in of_all:
        reasons[one.snapshot_id].append(f"the newest{words}{what}")
    for what, one in _newest(_own(alike)):
        if (what, one) not in of_all:
            reasons[one.snapshot_id].append(f"the newest{words}{what}, of those that protect no change")


def _newest(alike: Sequence[Snapshot]) -> list[tuple[str, Snapshot]]:
    """Those that stay under any policy, with what each of them is the newest of."""
    found = [("", one) for one in alike[:1]]
    whole = next((one for one in alike if one.consistency is not Consistency.PARTIAL), None)
    if whole is not None and whole is not alike[0]:
        found.append((" that is whole", whole))
    if read_back := next((one for one in alike if one.read_back), None):
        found.append((" that was read back", read_back))
    return found


def _own(alike: Sequence[Snapshot]) -> list[Snapshot]:
    """Those that somebody asked for."""
    return [one for one in alike if not one.protects]


def _rules(policy: Policy) -> list[tuple[str, int, Callable[[Snapshot], Any]]]:
    """(name, how many, the period that a snapshot is of)."""
    zone = ZoneInfo(policy.zone)

    def moment(one: Snapshot) -> datetime:
        return datetime.fromtimestamp(one.taken_at / 1000, zone)

    return [
        ("last", policy.last, lambda one: one.snapshot_id),
        # With its offset: the hour that a clock repeats in autumn is two hours.
        ("hourly", policy.hourly, lambda one: (f"{moment(one):%Y-%m-%d %H}", moment(one).utcoffset())),
        ("daily", policy.daily, lambda one: f"{moment(one):%Y-%m-%d}"),
        ("weekly", policy.weekly, lambda one: moment(one).isocalendar()[:2]),
        ("monthly", policy.monthly, lambda one: f"{moment(one):%Y-%m}"),
        ("yearly", policy.yearly, lambda one: moment(one).year),
    ]


def _keep_newest_of_each(
    name: str,
    most: int,
    period: Callable[[Snapshot], Any],
    words: str,
    alike: Sequence[Snapshot],
    reasons: dict[str, list[str]],
) -> None:
    seen: set[Any] = set()
    for one in alike:
        if len(seen) == most:
            return
        if (of := period(one)) not in seen:
            seen.add(of)
            reasons[one.snapshot_id].append(f"{name} {len(seen)} of {most}{words}")
