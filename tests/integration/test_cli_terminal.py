"""What stands on standard output: colours on a terminal only, and of a node its address as soon as it runs."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from pathlib import Path

import pytest

from domain.errors import Refused
from domain.outcome import Outcome
from tests.command_line import CommandLine, check_document, finished, program

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


def test_a_node_says_as_a_document_where_it_listens_as_soon_as_it_runs(tmp_path: Path) -> None:
    process = program(["serve", "--http", "127.0.0.1:0", "--json"], {"BACKSTAY_DATA_DIR": str(tmp_path)})
    assert process.stdout is not None
    document = json.loads(process.stdout.readline())
    check_document(["serve", "--json"], document)
    with urllib.request.urlopen(f"http://{document['http']}/livez", timeout=30) as answer:
        assert answer.status == 200
    assert document["pid"] == process.pid
    process.send_signal(signal.SIGTERM)
    assert finished(process).code == 0
