"""The health hook: a program of the operator's, in a bare environment, within a time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually
from workers import hook


def program(folder: Path, text: str) -> str:
    path = folder / "hook"
    path.write_text(f"#!{sys.executable}\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_hook_that_exits_with_zero_passes_and_knows_its_service(tmp_path: Path) -> None:
    text = "import os, sys; print(sys.argv[1], os.environ['BACKSTAY_SERVICE'])"
    result = hook.hook_runner(program(tmp_path, text))("svc-1")
    assert (result.passed, result.output) == (True, "svc-1 svc-1\n")


def test_a_hook_that_fails_leaves_what_it_said_on_both_streams(tmp_path: Path) -> None:
    text = "import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit(3)"
    result = hook.hook_runner(program(tmp_path, text))("svc")
    assert not result.passed
    assert result.output == "out\nerr\n"


def test_only_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    result = hook.hook_runner(program(tmp_path, "print('x' * 1_000_000 + 'end')"))("svc")
    assert len(result.output) == hook.MOST_OUTPUT
    assert result.output.endswith("end\n")


def test_nothing_of_our_environment_reaches_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_SECRET_KEYS", "canary")
    result = hook.hook_runner(program(tmp_path, "import os; print(sorted(os.environ))"))("svc")
    assert "BACKSTAY_SERVICE" in result.output
    assert "canary" not in result.output and "SECRET_KEYS" not in result.output


def test_a_hook_that_hangs_is_killed_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that kept the pipe open would otherwise hold the operation for as long as it likes."""
    hangs = tmp_path / "hangs"
    text = (
        "import pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        f"pathlib.Path({str(hangs)!r}).touch()\n"
        "time.sleep(600)"
    )
    communicate, limits = subprocess.Popen.communicate, list[float]()

    def time_is_over(
        process: subprocess.Popen[bytes], given: bytes | None = None, timeout: float | None = None
    ) -> tuple[bytes, bytes]:
        """The limit passes when the hook hangs, however long it takes to get there."""
        if timeout is None:
            return communicate(process, given)
        limits.append(timeout)
        eventually(hangs.exists, what="the hook has started its child")
        raise subprocess.TimeoutExpired(process.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "communicate", time_is_over)
    result = hook.hook_runner(program(tmp_path, text))("svc")
    assert not result.passed
    assert limits == [hook.LONGEST_RUN]
    assert result.output.startswith("no answer within")
    child = int(result.output.rpartition(";")[2])
    eventually(lambda: not _alive(child), what="the child is gone")


def test_a_program_that_is_not_there_fails_with_a_reason(tmp_path: Path) -> None:
    result = hook.hook_runner(str(tmp_path / "absent"))("svc")
    assert (result.passed, result.output) == (False, "the hook could not be started: No such file or directory")


def test_a_node_without_a_hook_says_how_to_give_it_one() -> None:
    result = hook.hook_runner(None)("svc")
    assert not result.passed
    assert "BACKSTAY_HEALTH_HOOK" in result.output


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False
