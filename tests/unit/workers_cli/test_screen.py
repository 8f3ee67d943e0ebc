"""What reaches a terminal, a pipe and a script."""

from __future__ import annotations

import json

import pytest
import typer

from domain.errors import NotFound
from workers.cli.screen import Screen, clean, reporting
from workers.config import ConfigError


def test_a_piped_table_is_plain_aligned_and_never_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(False).table(("ID", "WHAT"), [("a" * 36, "x" * 300), ("b", None)], "nothing")
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["ID" + " " * 36 + "WHAT", "a" * 36 + "  " + "x" * 300, "b" + " " * 37 + "-"]


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(False).table(("ID",), [], "no operations")
    assert capsys.readouterr().out == "no operations\n"


def test_with_json_only_the_document_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(True)
    screen.line("for people")
    screen.table(("ID",), [("a",)], "nothing")
    screen.facts([("name", "value")])
    screen.document({"a": "é\udcff"})
    assert json.loads(capsys.readouterr().out) == {"a": "é\udcff"}


def test_control_characters_from_outside_never_reach_a_terminal() -> None:
    assert clean("a\x1b[31mb\nc\u202ed") == "a\ufffd[31mb c\ufffdd"


def test_square_brackets_are_text_and_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(False).line("pid:[4026531836] [red]:smile:")
    assert capsys.readouterr().out == "pid:[4026531836] [red]:smile:\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_an_error_says_what_and_what_next_on_stderr(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, reporting(as_json):
        raise NotFound("there is no such thing", code="unknown-thing", next_step="look again")
    shown = capsys.readouterr()
    assert left.value.exit_code == 10
    assert shown.err == "error: there is no such thing\nnext: look again\n"
    if as_json:
        error = {"code": "unknown-thing", "sentence": "there is no such thing", "next_step": "look again"}
        assert json.loads(shown.out) == {"error": error}
    else:
        assert shown.out == ""


def test_every_mistake_in_the_configuration_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, reporting():
        raise ConfigError(["BACKSTAY_THREADS: no", "BACKSTAY_HTTP: no"])
    assert left.value.exit_code == 2
    assert capsys.readouterr().err.startswith("error: BACKSTAY_THREADS: no\nerror: BACKSTAY_HTTP: no\nnext: ")
