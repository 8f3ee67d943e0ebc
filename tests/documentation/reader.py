"""Somebody who reads a page from top to bottom and types what stands in it.

`backstay …` runs in this process, everything else in a shell. Words in capitals stand for what the reader sees on
the screens; the test says how each is found. A comment `# ends with N` is the exit code that the page promises.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.command_line import Answer, CommandLine
from tests.documentation.mentions import ROOT, commands

_PROMISE = re.compile(r"\s+#.*?ends with (\d+)\s*$")
_COMMENT = re.compile(r"\s{2,}#.*$")
_INNER = re.compile(r"\$\(backstay ([^)]*)\)")
_SPLIT = re.compile(r"\s(?=[|>] ?)")


class Reader:
    """`serve` is called for `backstay serve`; `before` maps the beginning of a line to what is done before it."""

    def __init__(
        self,
        cli: CommandLine,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        words: Mapping[str, Callable[[], str]],
        *,
        serve: Callable[[], None] | None = None,
        before: Mapping[str, Callable[[], None]] | None = None,
    ) -> None:
        self._cli, self._words, self._monkeypatch = cli, words, monkeypatch
        self._serve, self._before = serve, dict(before or {})
        self.typed: list[tuple[str, Answer]] = []
        monkeypatch.chdir(folder)

    def read(self, page: str) -> None:
        """Type every line of its shell blocks."""
        for _, line in commands((ROOT / "docs" / page).read_text(encoding="utf-8")):
            self._type(line)

    def _type(self, line: str) -> None:
        for beginning, act in self._before.items():
            if line.startswith(beginning):
                act()
        promised = _PROMISE.search(line)
        line = _COMMENT.sub("", line[: promised.start()] if promised else line).strip()
        for word, found in self._words.items():
            if re.search(rf"\b{word}\b", line):
                line = re.sub(rf"\b{word}\b", found(), line)
        answer = self._run(line)
        self.typed.append((line, answer))
        wanted = int(promised[1]) if promised else 0
        assert answer.code == wanted, f"{line}\nends with {answer.code}\n{answer.out}\n{answer.err}"

    def _run(self, line: str) -> Answer:
        line = _INNER.sub(lambda match: self._cli.run(*shlex.split(match[1])).out.strip(), line)
        if line.startswith("backstay serve"):
            assert self._serve is not None, "no page but the quick start begins a node"
            self._serve()
            return Answer(0, "", "")
        if line.startswith("export "):
            name = line.removeprefix("export ").partition("=")[0]
            self._monkeypatch.setenv(name, self._shell(f'{line}; printf %s "${name}"').out)
            return Answer(0, "", "")
        if not line.startswith("backstay "):
            return self._shell(line)
        command, *rest = _SPLIT.split(line, maxsplit=1)
        answer = self._cli.run(*shlex.split(command)[1:])
        return self._shell(f"cat {rest[0]}", answer.out) if rest else answer

    def _shell(self, line: str, stdin: str = "") -> Answer:
        ran = subprocess.run(["bash", "-c", line], input=stdin, capture_output=True, text=True, env=dict(os.environ))
        return Answer(ran.returncode, ran.stdout, ran.stderr)
