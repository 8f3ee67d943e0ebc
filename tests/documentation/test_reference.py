"""The reference says what the code does, because it is made from it."""

from __future__ import annotations

import pytest

from tests.documentation.reference import FOLDER, PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text() == PAGES[name](), "make reference ARGS=--write writes it anew"
