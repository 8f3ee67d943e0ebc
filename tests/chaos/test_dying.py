"""The deaths of the other suites: one that does not happen is no proof, and where nobody dies is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.failpoint import failpoint
from tests import dying


def test_a_death_that_does_not_happen_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="#2 was not reached"):
        dying.killed("settle.before-commit", lambda: failpoint("settle.before-commit"), 2)
    with (
        pytest.raises(AssertionError, match="#1 was not reached"),
        dying.dying("claim.before-commit"),
    ):
        failpoint("settle.before-commit")


def test_a_run_names_the_failpoints_at_which_nobody_has_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dying.VARIABLE, str(tmp_path / "deaths"))
    (tmp_path / "deaths").write_text(
        "".join(f"{name}\n" for name in dying.named() - {"settle.before-commit", "renew.after-commit"})
    )
    assert dying.told() == "nobody has died at renew.after-commit, settle.before-commit"
    dying.killed("settle.before-commit", lambda: failpoint("settle.before-commit"))
    with dying.dying("renew.after-commit"):
        failpoint("renew.after-commit")
    assert dying.survived() == [] and dying.told().startswith("somebody has died at each of ")
