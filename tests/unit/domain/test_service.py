"""A service's directory stays beneath the apps root, in words, before any file system is asked."""

from __future__ import annotations

import pytest

from domain.errors import PathEscape
from domain.service import relative_directory


@pytest.mark.parametrize(
    "directory", ["", "/", "/etc", "..", "../x", "a/../../x", ".", "a/..", "a\0b", ".backstay", ".backstay/x"]
)
def test_a_directory_that_is_not_beneath_the_apps_root_is_refused(directory: str) -> None:
    """RS-19, RS-12."""
    with pytest.raises(PathEscape):
        relative_directory(directory)


@pytest.mark.parametrize(
    ("given", "kept"), [("web", "web"), ("acme/shop", "acme/shop"), ("a//b/./c/", "a/b/c"), ("a/../b", "b")]
)
def test_a_directory_is_kept_in_one_spelling(given: str, kept: str) -> None:
    assert relative_directory(given) == kept
