"""What the parts of an upgrade make of the whole: every subset of statuses, against the rule in words."""

from __future__ import annotations

from itertools import chain, combinations

import pytest

from domain.upgrade_record import Status, group_status

NAMES = {
    "upgrade": (Status.UPGRADING, Status.UPGRADED, Status.UPGRADE_FAILED, Status.PARTIAL_UPGRADED),
    "rollback": (Status.ROLLING, Status.ROLLBACK, Status.ROLLBACK_FAILED, Status.PARTIAL_ROLLBACK),
}
UNFINISHED = (Status.NOT, Status.UPGRADING, Status.ROLLING)
SUBSETS = list(chain.from_iterable(combinations(Status, size) for size in range(len(Status) + 1)))


@pytest.mark.parametrize("kind", NAMES)
def test_every_set_of_parts_makes_exactly_one_whole(kind: str) -> None:
    """2048 sets each: any unfinished part, else all well, else none well, else some."""
    pending, well, failed, partial = NAMES[kind]
    assert len(SUBSETS) == 2 ** len(Status)
    for parts in SUBSETS:
        if any(part in UNFINISHED for part in parts):
            expected = pending
        elif all(part is well for part in parts):
            expected = well
        elif not any(part is well for part in parts):
            expected = failed
        else:
            expected = partial
        assert group_status(kind, parts) is expected, parts


@pytest.mark.parametrize("kind", NAMES)
def test_a_whole_without_parts_is_well(kind: str) -> None:
    assert group_status(kind, ()) is NAMES[kind][1]


@pytest.mark.parametrize("kind", NAMES)
def test_how_often_a_status_occurs_does_not_matter(kind: str) -> None:
    _, well, failed, partial = NAMES[kind]
    assert group_status(kind, iter([well] * 9 + [failed])) is partial
