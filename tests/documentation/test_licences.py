"""Which licences our libraries have: none that nobody knows, and none that we may not use."""

from __future__ import annotations

import tomllib

import pytest

from tests.documentation.licences import ONE_BY_ONE, ROOT, fault, licence_of, locked


def test_every_locked_library_is_under_a_licence_that_we_take() -> None:
    faults = [fault(name, licence_of(name)) for name in locked()]
    assert [one for one in faults if one] == []


def test_our_own_licence_is_the_one_that_the_libraries_were_judged_by() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()[:200]


@pytest.mark.parametrize(
    ("name", "licence", "said"),
    [
        ("x", "", "nothing says"),
        ("x", "GPL-3.0-only", "not among"),
        ("x", "MIT AND GPL-2.0-only", "not among"),
        ("x", "AGPL-3.0-only OR SSPL-1.0", "not among"),
        ("x", "LGPL-3.0-only", "not among"),
        ("dramatiq", "GPL-3.0-or-later", "not among"),
        ("x", "GPL-3.0-only OR MIT", ""),
        ("x", "MIT AND PSF-2.0", ""),
        ("psycopg", "LGPL-3.0-only", ""),
    ],
)
def test_a_licence_that_is_unknown_or_not_ours_to_take_is_a_fault(name: str, licence: str, said: str) -> None:
    found = fault(name, licence)
    assert said in found if said else not found


def test_what_was_taken_one_by_one_is_still_there() -> None:
    assert set(ONE_BY_ONE) <= set(locked())
