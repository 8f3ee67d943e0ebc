"""`make audit`: a known vulnerability is red, and a service that is not there is neither red nor taken for clean."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.packaging import audit

ROOT = audit.ROOT
CLEAN = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "a", "skip_reason": "Dependency not found on PyPI"}


def tool(folder: Path, **answers: Any) -> list[str]:
    """A pip-audit that answers by the service; a text is what it says before it fails."""
    script = folder / "tool.py"
    script.write_text(
        "import json, sys\n"
        f"answers = json.loads({json.dumps(json.dumps(answers))})\n"
        "service = next(word.partition('=')[2] for word in sys.argv if word.startswith('--vulnerability-service'))\n"
        "found = answers[service]\n"
        "sys.exit(found) if isinstance(found, str) else print(json.dumps({'dependencies': found}))\n"
    )
    return [sys.executable, str(script)]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "x.lock"
    path.write_text("a==1 \\\n    --hash=sha256:00\nb==2 \\\n    --hash=sha256:01\n")
    return path


def test_a_known_vulnerability_is_red_and_named(tmp_path: Path, lock: Path) -> None:
    code, lines = audit.audit(tool(tmp_path, pypi=[CLEAN, BAD]), [lock])
    assert code == 1
    assert lines[0] == "VULNERABLE PYSEC-1: b 2, mended in 3"


def test_one_that_was_accepted_is_told_and_is_not_red(
    tmp_path: Path, lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(audit.ACCEPTED, "PYSEC-1", "the broken function is never called")
    code, lines = audit.audit(tool(tmp_path, pypi=[CLEAN, BAD]), [lock])
    assert (code, lines[0]) == (0, "accepted PYSEC-1: the broken function is never called")


def test_a_service_that_knows_nothing_is_no_success(tmp_path: Path, lock: Path) -> None:
    """pip-audit itself ends with 0 and "no known vulnerabilities found" then."""
    code, lines = audit.audit(tool(tmp_path, pypi=[SKIPPED], osv="cannot resolve"), [lock])
    assert code == 0
    assert lines == [
        "NOT AUDITED: no service that knows vulnerabilities can be reached from here",
        "pypi: Dependency not found on PyPI",
        "osv: cannot resolve",
    ]


def test_the_second_service_is_asked_when_the_first_does_not_answer(tmp_path: Path, lock: Path) -> None:
    code, lines = audit.audit(tool(tmp_path, pypi="down", osv=[CLEAN, BAD]), [lock])
    assert code == 1 and "osv" in lines[-1]


def test_a_library_that_could_not_be_looked_up_beside_others_is_named(tmp_path: Path, lock: Path) -> None:
    code, lines = audit.audit(tool(tmp_path, pypi=[CLEAN, BAD | {"vulns": []}]), [lock])
    assert (code, lines) == (0, ["2 libraries were looked up at pypi, 0 vulnerabilities count"])
    assert audit._read({"dependencies": [CLEAN, SKIPPED | {"name": "c"}]}).unknown == {"c": SKIPPED["skip_reason"]}


def test_a_tool_that_is_not_there_is_no_success(lock: Path) -> None:
    code, lines = audit.audit(["/nowhere/pip-audit"], [lock])
    assert code == 0 and lines[0].startswith("NOT AUDITED")


def test_every_lock_is_audited() -> None:
    assert {path.name for path in ROOT.glob("*.lock")} == set(audit.LOCKS)
