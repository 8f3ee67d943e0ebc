"""Labels: free pairs, with two names kept for Backstay."""

from __future__ import annotations

import pytest

from domain.errors import InvalidMessage
from domain.snapshot import Label


def test_a_label_splits_at_the_first_colon_only() -> None:
    """RS-04: a value may hold colons and slashes."""
    assert Label.parse("path:a:b/c") == Label("path", "a:b/c")


def test_a_label_reads_back_as_it_was_written() -> None:
    assert str(Label.parse("owner:42")) == "owner:42"


@pytest.mark.parametrize("text", ["", "owner", ":42", " :42", "owner:4\n2", "o" * 300 + ":" + "v" * 300])
def test_a_text_that_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage):
        Label.parse(text)


@pytest.mark.parametrize("text", ["size:1", "sys.kept:yes"])
def test_names_that_backstay_states_itself_are_refused(text: str) -> None:
    """RS-03: a caller's own size would contradict the real one, so it is refused with a clear error."""
    with pytest.raises(InvalidMessage, match="reserved"):
        Label.parse(text)


def test_an_empty_value_is_a_value() -> None:
    assert Label.parse("flag:") == Label("flag", "")
