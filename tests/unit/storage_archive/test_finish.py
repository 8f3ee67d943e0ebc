"""Finishing restored entries: what costs nothing for each of a million, and is told all the same."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.archive.finish import Finisher, Warnings
from storage.archive.manifest import Tree
from storage.archive.pack import SEGMENT_ROW

SOMEBODY = 4321


def _files(count: int, uid: int, gid: int) -> Tree:
    """Rows of empty files, the last one a further name of the one before."""
    nothing = np.zeros(count, np.int64)
    return Tree(
        names=[b"%d" % row for row in range(count)],
        parent=nothing,
        mode=nothing + (stat.S_IFREG | 0o640),
        uid=nothing + uid,
        gid=nothing + gid,
        mtime=nothing + 1_000_000_000_000_000_007,
        size=nothing,
        ctime=nothing,
        inode=nothing,
        extents=nothing,
        extent_segment=nothing,
        extent_offset=nothing,
        extent_length=nothing,
        segments=np.zeros(0, SEGMENT_ROW),
        packs=[],
        pack_bytes=nothing,
        links={},
        twins={count - 1: count - 2},
        attributes={},
    )


def test_of_many_warnings_the_first_in_order_are_kept_and_the_rest_is_only_counted() -> None:
    warnings = Warnings()
    paths = [f"{number:04}" for number in range(1000)]
    random.Random(7).shuffle(paths)
    for path in paths:
        warnings.add("lost", path)

    assert warnings.sentences() == (*(f"lost: {number:04}" for number in range(20)), "lost: 980 more")
    ((_, kept),) = warnings._found.values()
    assert len(kept) == 20


def test_who_can_give_away_nothing_does_not_try_a_thousand_times_and_warns_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def refuse(*_: Any) -> None:
        raise AssertionError("it was known that this cannot be done")

    def name_of(row: int) -> str:
        asked.append(row)
        return f"{row:04}"

    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    monkeypatch.setattr(os, "fchown", refuse)
    warnings = Warnings()
    finisher = Finisher(_files(1001, SOMEBODY + 1, os.getegid()), name_of, warnings)
    handle = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        for row in range(1000):
            finisher.apply(handle, row)
    finally:
        os.close(handle)

    sentence = "the owner could not be set"
    assert warnings.sentences() == (*(f"{sentence}: {row:04}" for row in range(20)), f"{sentence}: 980 more")
    assert finisher.other_owner.tolist() == [True] * 1000 + [False]
    assert len(asked) == 20


def test_a_group_that_can_be_given_is_given_to_what_keeps_another_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    monkeypatch.setattr(os, "fchown", lambda _, uid, gid: given.append((uid, gid)))
    finisher = Finisher(_files(2, SOMEBODY + 1, os.getegid() + 1), str, warnings := Warnings())
    handle = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    try:
        finisher.apply(handle, 0)
    finally:
        os.close(handle)

    assert given == [(-1, os.getegid() + 1)]
    assert warnings.sentences() == ("the owner could not be set: 0",)
