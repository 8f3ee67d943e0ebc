"""What may be asked of the pattern language, and what would cost a node its time."""

from __future__ import annotations

import pytest

from domain.errors import InvalidMessage
from storage.archive.exclusion import Exclusion


@pytest.mark.parametrize("pattern", ["a*a*a*a*b", "*a/**/*a/**/*a/**/b", "x/*-*-*-*.log", "!a*a*a*a*b"])
def test_a_pattern_that_would_stop_the_node_is_refused(pattern: str) -> None:
    """Eight stars against one name of 60 bytes took seven seconds, in which no lease was renewed."""
    with pytest.raises(InvalidMessage, match="too many wildcards"):
        Exclusion((pattern,))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.log", b"var/x.log"),
        ("**/node_modules/**/*.min.*", b"a/node_modules/b/c.min.js"),
        ("**/cache/**", b"a/cache/b"),
        ("**/a/**/b/**", b"a/x/b/c"),
        ("*-*-*.sql", b"2026-11-20.sql"),
        ("/a/*/b/*/c/*/d/*.x", b"a/1/b/2/c/3/d/4.x"),
        (r"\*\*\*\*", b"****"),
        ("[*][*][*][*]", b"****"),
    ],
)
def test_what_people_write_is_taken(pattern: str, path: bytes) -> None:
    assert Exclusion((pattern,)).leaves_out(path, False)
