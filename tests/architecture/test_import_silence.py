"""Importing any module opens nothing, starts nothing, and asks neither the environment nor the clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.source import ROOT, explain, modules

#: Modules that nobody imports, and why.
PROGRAMS = {"storage.sql.migrations.env": "a script that Alembic runs inside a migration"}
REASON = "who imports a module asks for its names; a process that only prints help must not need a database"


def deeds(folder: Path, *names: str) -> list[str]:
    """What the code beneath `folder` did while `names` were imported, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)]), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "tests.architecture.importer", str(folder), *names]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_importing_every_module_leaves_the_world_alone() -> None:
    found = deeds(ROOT, *(module.name for module in modules() if module.name not in PROGRAMS))
    assert not found, explain(found, REASON)


@pytest.mark.parametrize(
    ("statement", "deed"),
    [
        ("import os; os.environ.get('HOME')", "reads the environment variable HOME"),
        ("import os; dict(os.environ)", "reads the whole environment"),
        ("import time; time.time()", "calls time.time"),
        ("import datetime; datetime.datetime.now()", "calls datetime.now"),
        ("import uuid; uuid.uuid4()", "calls urandom"),
        ("import socket; socket.socket()", "socket.__new__"),
        ("import os; open(os.devnull, 'w')", f"opens {os.devnull}"),
        ("import os; os.listdir('/')", "os.listdir"),
        ("import threading; threading.Thread(target=int).start()", "calls start_"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
    ],
)
def test_a_module_that_is_not_silent_is_caught(statement: str, deed: str, tmp_path: Path) -> None:
    """The traps themselves: a module that does one of these is reported with its place."""
    (tmp_path / "loud.py").write_text(statement + "\n", encoding="utf-8")
    assert any(found.startswith(f"loud.py:1 {deed}") for found in deeds(tmp_path, "loud"))
