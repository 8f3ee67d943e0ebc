"""What an operator may write for a limit, and what he is told when he may not."""

from __future__ import annotations

import pytest

from workers import limits
from workers.node_report import misspelt_slots


@pytest.mark.parametrize(("text", "size"), [("500", 500), ("20M", 20 << 20), ("1.5G", 3 << 29), ("64 KiB", 64 << 10)])
def test_a_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert limits.size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "20 miles", "1e9", "M"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="number of bytes"):
        limits.size(text)


def test_a_rate_at_which_nothing_would_end_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 64K"):
        limits.rate("63K")


@pytest.mark.parametrize("text", ["create-snapshot=2,all=6", ' create-snapshot = 2 , all = "6" '.replace('"', "")])
def test_slots_are_kinds_with_numbers(text: str) -> None:
    assert limits.slots(text) == {"create-snapshot": 2, "all": 6}


def test_slots_may_be_a_table_of_the_file() -> None:
    assert limits.slots('{"create-snapshot": 2}') == {"create-snapshot": 2}


@pytest.mark.parametrize("text", ["create-snapshot", "create-snapshot=0", "create-snapshot=many", "a b=1", "=2"])
def test_slots_that_limit_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        limits.slots(text)


def test_a_kind_that_nobody_knows_is_named() -> None:
    assert misspelt_slots({"create-snapshot": 1, "all": 2}, {"create-snapshot"}) == ""
    assert "create-snapshots" in misspelt_slots({"create-snapshots": 1}, {"create-snapshot"})
