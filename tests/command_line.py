"""The command line as a test runs it: in this process where that is fast, as a program where it matters.

Apart from the suites because all of them need it. Nothing of the environment that runs the tests reaches a
command: each has a data directory of its own and no other setting.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from domain.contracts import Accepted, Claim
from domain.decoding import request_hash
from domain.identity import Subject
from domain.message import Command
from workers.bootstrap import System
from workers.cli.answers import ANSWERS
from workers.cli.answers.work import Failure
from workers.cli.app import build
from workers.cli.schema import schema_of
from workers.config import load

ROOT = Path(__file__).parent.parent
FOREIGN = ("BACKSTAY_", "DATABASE_URL", "BROKER_URL", "NO_COLOR", "FORCE_COLOR", "XDG_DATA_HOME")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command left."""

    code: int
    out: str
    err: str

    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class CommandLine:
    """Commands on one data directory, and the ports behind them for preparing and checking."""

    def __init__(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in os.environ if name.startswith(FOREIGN)]:
            monkeypatch.delenv(name)
        self.data_dir = data_dir
        self.environment = {"BACKSTAY_DATA_DIR": str(data_dir), "BACKSTAY_NODE": "n1"}
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        self.system = System(load(self.environment))

    def run(self, *arguments: str, stdin: str | None = None) -> Answer:
        """In this process."""
        return _invoked(arguments, stdin)

    def accept(self, kind: str = "create-snapshot", service: str = "web", message_id: str = "m1", **data: Any) -> str:
        """Put an operation into the inbox, as intake would; its id."""
        command = Command("/test", message_id, kind, 1, Subject("acme", service), data)
        (receipt,) = self.system.database.inbox.accept([Accepted(command, request_hash(command), True, False)])
        assert receipt.op_id
        return receipt.op_id

    def claim(self) -> Claim:
        """Begin the oldest operation, as a worker would."""
        (claim,) = self.system.database.ledger.claim("n1", "n1|boot|ns|1|1", 1, 60_000)
        return claim


def answer_of(arguments: Sequence[str], environment: dict[str, str]) -> Answer:
    """What a command leaves that finds only this environment; in this process, which starting one takes longer than."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(FOREIGN)]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        return _invoked(arguments, None)


def all_commands() -> Iterator[tuple[str, Any]]:
    """(path, command) of every command that is not hidden, in the order of the help."""
    return _beneath(typer.main.get_command(build()))


def _beneath(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "list_commands"):
        yield " ".join(path), command
        return
    for name in command.list_commands(None):
        yield from _beneath(command.get_command(None, name), *path, name)


def _invoked(arguments: Sequence[str], stdin: str | None) -> Answer:
    found = CliRunner().invoke(build(), list(arguments), input=stdin)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    answer = Answer(found.exit_code, found.stdout, found.stderr)
    if "--json" in arguments and answer.out:
        check_document(arguments, answer.document())
    return answer


def check_document(arguments: Sequence[str], document: dict[str, Any]) -> None:
    """Hold a document that a command has printed against the type that workers/cli/answers/ declares for it."""
    path = next((path for path in (" ".join(arguments[:2]), arguments[0]) if path in ANSWERS), None)
    expected = Failure if "error" in document else ANSWERS.get(path or "")
    if expected is None:  # tests/unit/workers_cli/test_app.py says which rows are missing
        return
    found = {"error": document["error"]} if "error" in document else document
    errors = [
        f"{'/'.join(map(str, error.absolute_path))}: {error.message}"
        for error in Draft202012Validator(schema_of(expected, strict=True)).iter_errors(found)
    ]
    assert not errors, f"{' '.join(arguments)} prints what workers/cli/answers/ does not say: {errors}"


def program(arguments: Sequence[str], environment: dict[str, str], **options: Any) -> subprocess.Popen[str]:
    """`backstay` as a program of its own, its output piped."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return subprocess.Popen(
        [sys.executable, "-m", "workers", *arguments],
        env=kept | environment,
        cwd=ROOT,
        text=True,
        stdout=options.pop("stdout", subprocess.PIPE),
        stderr=options.pop("stderr", subprocess.PIPE),
        **options,
    )


def finished(process: subprocess.Popen[str], seconds: float = 180.0) -> Answer:
    """What a program left; it must end within `seconds`."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"{process.args!r} did not end within {seconds} s\n{out}\n{err}")
    return Answer(process.returncode, out, err)
