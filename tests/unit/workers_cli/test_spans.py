"""Spans of time as people type them."""

from __future__ import annotations

import pytest

from domain.errors import InvalidMessage
from workers.cli.spans import seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("15min", 900),
        ("26h", 93_600),
        ("1d 12h", 129_600),
        ("2w", 1_209_600),
        (" 1h 5 min", 3900),
    ],
)
def test_a_span_is_read_with_its_units(text: str, seconds: int) -> None:
    assert seconds_of(text, "goal") == seconds


@pytest.mark.parametrize("text", ["h", "1.5h", "-1h", "1 hour", "1m", "soon", "1h!", "٣h", "9999999999h", "1s" * 60])
def test_anything_else_is_refused_by_the_option_s_name(text: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        seconds_of(text, "goal")
    assert refusal.value.field == "goal"
