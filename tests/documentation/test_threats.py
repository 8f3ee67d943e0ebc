"""What docs/security.md and docs/reliability.md cite as a test exists: a threat must not be answered by a name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("page", ["security.md", "reliability.md"])
def test_every_test_that_the_page_cites_exists(page: str) -> None:
    cited = set(
        re.findall(r"`((?:tests/)?[\w/]*test_\w+\.py|tests/[\w/]+(?:\.py)?)`", (ROOT / "docs" / page).read_text())
    )
    assert len(cited) > 5
    files = {path.name for path in (ROOT / "tests").rglob("*.py")}
    gone = [name for name in cited if not (ROOT / name).exists() and name not in files]
    assert not gone


def test_every_threat_has_a_test_that_shows_its_defence() -> None:
    rows = [line.split(" | ") for line in (ROOT / "docs" / "security.md").read_text().splitlines() if " | " in line]
    head = next(number for number, row in enumerate(rows) if row == ["| threat", "defence", "test |"])
    threats = [row for row in rows[head:] if row != ["| threat", "defence", "test |"]]
    assert len(threats) > 25
    assert [row[0] for row in threats if len(row) != 3 or not re.search(r"test_|tests/|simulation", row[2])] == []
