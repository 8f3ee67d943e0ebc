"""Colours exist on a terminal, and nowhere else; NO_COLOR takes them away there too."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from domain.errors import Refused
from domain.outcome import Outcome
from tests.command_line import CommandLine, finished, program

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]m")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    made = CommandLine(tmp_path / "data", monkeypatch)
    made.system.database.migrate()
    made.accept()
    made.system.database.ledger.settle(made.claim(), Outcome.failed(Refused("no", code="refused")))
    return made


def shown(cli: CommandLine, **environment: str) -> str:
    """What `operations list` writes to a terminal."""
    outer, inner = os.openpty()
    process = program(["operations", "list"], cli.environment | {"TERM": "xterm", **environment}, stdout=inner)
    os.close(inner)
    parts = []
    while part := _read(outer):
        parts.append(part)
    assert finished(process).code == 0
    os.close(outer)
    return b"".join(parts).decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


def test_a_terminal_gets_colours_and_with_no_color_it_does_not(cli: CommandLine) -> None:
    coloured = shown(cli)
    assert COLOUR.search(coloured)
    assert "FAILED" in coloured
    plain = shown(cli, NO_COLOR="1")
    assert not COLOUR.search(plain)
    assert "FAILED" in plain


def test_a_pipe_gets_no_escape_at_all(cli: CommandLine) -> None:
    answer = finished(program(["operations", "list"], cli.environment | {"TERM": "xterm"}))
    assert "\x1b" not in answer.out + answer.err
