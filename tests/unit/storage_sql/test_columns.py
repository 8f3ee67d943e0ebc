"""Text that a database would refuse is escaped in one way, so that equal input stays equal."""

from __future__ import annotations

import pytest

from storage.sql.columns import storable


@pytest.mark.parametrize(
    ("given", "stored"),
    [("plain", "plain"), ("", ""), ("žluť 🐎", "žluť 🐎"), ("a\0b", "a\\x00b"), ("\udc80", "\\udc80")],
)
def test_text_is_kept_or_escaped(given: str, stored: str) -> None:
    assert storable(given) == stored
    assert storable(stored) == stored
