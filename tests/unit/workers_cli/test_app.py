"""The command line as a whole: everything is found, everything has examples that parse, and help is light."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

import workers.cli
from tests.command_line import all_commands
from workers.cli.answers import ANSWERS
from workers.cli.app import build
from workers.cli.completion import candidates
from workers.cli.examples import EXAMPLES
from workers.cli.meant import meant
from workers.cli.schema import schema_of
from workers.cli.tree import BRANCHES
from workers.config import ConfigError, load

ROOT = Path(__file__).parents[3]
#: Libraries whose import alone costs what help may cost (150 ms of CPU).
HEAVY = ("domain.contracts", "workers.bootstrap",
         "rich", "pydantic", "sqlalchemy", "kombu", "dramatiq", "fastapi", "jinja2", "cronsim", "prometheus_client",
         "numpy", "boto3", "structlog", "alembic", "uvicorn", "starlette", "cryptography")  # fmt: skip


def test_every_file_with_commands_is_in_the_table() -> None:
    folder = Path(workers.cli.__file__).parent
    named = {module for branch in BRANCHES.values() for module in branch.modules}
    declares = {
        path.stem
        for path in folder.glob("*.py")
        if re.search(r"^@group\.command|^group = typer", path.read_text(), re.M)
    }
    assert declares - named == set(), "a row of workers/cli/tree.py must name these files"


def test_every_command_has_examples_and_every_example_belongs_to_one() -> None:
    assert {path for path, _ in all_commands()} == EXAMPLES.keys()


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_examples_of_a_command_parse_and_end_its_help(path: str) -> None:
    shown = CliRunner().invoke(build(), [*path.split(), "--help"])
    assert shown.exit_code == 0
    for line in EXAMPLES[path]:
        assert line in shown.stdout, "an example is folded or left out"
        parse(line)
    assert any(f"backstay {path}" in line for line in EXAMPLES[path])


def parse(line: str) -> None:
    """Parse the `backstay …` in a line of shell without running it."""
    words = shlex.split(line.replace("<(", "< ").replace(")", " "), comments=True)
    words = words[words.index("backstay") + 1 :]
    ends = [place for place, word in enumerate(words) if word in {"|", "||", ">", "<"}]
    words = words[: ends[0]] if ends else words
    command: Any = typer.main.get_command(build())
    while hasattr(command, "list_commands"):
        command = command.get_command(None, words.pop(0))
    command.make_context("backstay", words)


def test_every_command_has_json() -> None:
    lacking = [path for path, command in all_commands() if not any("--json" in param.opts for param in command.params)]
    assert lacking == []


def test_every_document_is_declared_and_every_field_of_it_has_a_schema() -> None:
    assert {path for path, _ in all_commands()} == ANSWERS.keys()
    answer = CliRunner().invoke(build(), ["schema", "--json"])
    schemas = json.loads(answer.stdout)["schemas"]
    assert schemas.keys() == ANSWERS.keys()
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)


def test_a_strict_schema_notices_a_field_that_nobody_has_documented() -> None:
    document = {"migrated": True, "new": 1}
    assert Draft202012Validator(schema_of(ANSWERS["migrate"])).is_valid(document)
    assert not Draft202012Validator(schema_of(ANSWERS["migrate"], strict=True)).is_valid(document)
    assert not Draft202012Validator(schema_of(ANSWERS["migrate"])).is_valid({})


@pytest.mark.parametrize("words", ["", "operations", "snapshots restore", "publish", "dead-letters replay", "doctor"])
def test_help_imports_nothing_that_is_slow_to_import(words: str) -> None:
    code = (
        "import sys; from workers.cli.app import build\n"
        f"try: build()({[*words.split(), '--help']!r})\n"
        f"except SystemExit: print('HEAVY', sorted(set({HEAVY!r}) & sys.modules.keys()))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.rpartition("HEAVY ")[2].strip() == "[]"


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("oprations", "operations"),
        ("operations lst", "list"),
        ("operations list --limt 3", "--limit"),
    ],
)
def test_a_mistyped_word_is_answered_with_what_was_meant(line: str, meant: str) -> None:
    answer = CliRunner().invoke(build(), line.split())
    assert answer.exit_code == 2
    assert f"did you mean {meant}" in answer.stderr
    assert "--help` shows how" in answer.stderr
    assert answer.stdout == ""


def test_a_message_type_that_does_not_exist_is_answered_with_what_was_meant() -> None:
    line = ["publish", "create-snapshoot", "--subject", "tenant/acme/service/shop"]
    answer = CliRunner().invoke(build(), line)
    assert answer.exit_code == 2
    assert "did you mean create-snapshot" in answer.stderr


def test_a_mistyped_setting_is_answered_with_what_was_meant(tmp_path: Path) -> None:
    file = tmp_path / "backstay.toml"
    file.write_text('bandwith = "1"\nregoins = "x"\n')
    with pytest.raises(ConfigError) as refused:
        load({"BACKSTAY_CONFIG": str(file), "BACKSTAY_DATA_DIR": str(tmp_path)})
    assert "'regoins'; did you mean regions" in str(refused.value)


def test_nothing_is_suggested_for_what_is_like_nothing() -> None:
    assert meant("zzzz", ["operations", "snapshots"]) == ""
    assert meant("shpo", (name for name in ("shop", "blog"))) == "; did you mean shop?"


def test_with_json_a_mistake_on_the_command_line_is_a_document_too() -> None:
    answer = CliRunner().invoke(build(), ["operations", "show", "--json"])
    assert answer.exit_code == 2
    error = json.loads(answer.stdout)["error"]
    assert (error["code"], error["sentence"]) == ("usage", "missing argument 'OPERATION_ID'")
    assert "operations show --help` shows how" in error["next_step"]


def test_a_group_without_a_command_shows_its_help() -> None:
    answer = CliRunner().invoke(build(), ["operations"])
    assert answer.exit_code == 2
    assert "explain" in answer.stderr


# ---------------------------------------------------------------- completion
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["oper"], "operations"),
        (["operations", "ex"], "explain"),
        (["operations", "list", "--st"], "--state"),
        (["operations", "list", "--state", "st"], "STUCK"),
        (["operations", "list", "--kind", "upg"], "upgrade-service"),
        (["publish", "create-"], "create-snapshot"),
        (["snapshots", "restore", "X", "--mode", "m"], "merge"),
    ],
)
def test_completion_offers_what_the_parser_knows(line: list[str], offered: str) -> None:
    assert offered in [word for word, _ in candidates(line)]


def test_completion_offers_nothing_for_what_does_not_exist_and_no_hidden_command() -> None:
    assert candidates(["no-such", ""]) == []
    assert "words" not in [word for word, _ in candidates(["completion", ""])]
    assert candidates(["operations", "list", "--service", ""]) == []


@pytest.mark.parametrize(("shell", "check"), [("bash", "bash -n"), ("zsh", "zsh -n"), ("fish", "fish -n")])
def test_the_script_for_a_shell_is_what_it_can_read(shell: str, check: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(build(), ["completion", shell])
    script = tmp_path / "script"
    script.write_text(answer.stdout)
    assert "completion words" in answer.stdout
    try:
        subprocess.run([*check.split(), str(script)], check=True)
    except FileNotFoundError:
        pytest.skip(f"{shell} is not installed")


def test_bash_completes_a_command(tmp_path: Path) -> None:
    called = tmp_path / "backstay"
    called.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m workers "$@"\n')
    called.chmod(0o755)
    script = (
        f"export PATH={tmp_path}:$PATH; source <(backstay completion bash); COMP_WORDS=(backstay dead-letters pl); "
        'COMP_CWORD=2; _backstay; echo "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["plan"]
