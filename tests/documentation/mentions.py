"""Finding commands in text: in fenced blocks of pages, between backticks in sentences, and in the program's own words.

Apart from the tests because one of them runs what it finds, and another only asks whether it exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from workers.cli.app import build

ROOT = Path(__file__).parents[2]
#: `backstay …` between backticks; in a program's text values stand in braces, in a table a bar is escaped.
_INLINE = re.compile(r"`backstay ([a-z][^`\n]*)`")
_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_ADJOINED = re.compile(r'"\s*\n\s*f?"')  # a string that goes on in the next line of a program


@dataclass(frozen=True, slots=True)
class Mention:
    """A command line as somebody has written it."""

    where: str
    text: str


def pages() -> list[Path]:
    """Every page that people read."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(path for path in found if path.name != "format.md")  # its `backstay …` are words of stored bytes


def sources() -> list[Path]:
    """Every file of ours whose text reaches an operator."""
    folders = ("workers", "handlers", "domain", "storage", "deploy")
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".yml", ".html"}
    )


def mentions() -> Iterator[Mention]:
    """Every `backstay …` in pages and in the program's own words."""
    for path in [*pages(), *sources()]:
        text, name = path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))
        if path.suffix == ".py":
            text = _ADJOINED.sub("", text)
        yield from (Mention(name, match[1]) for match in _INLINE.finditer(text))
        if path.suffix == ".md":
            for _, line in commands(text):
                if line.startswith("backstay "):
                    yield Mention(name, line.removeprefix("backstay "))


def commands(text: str) -> Iterator[tuple[str, str]]:
    """(kind of the block, line) of every line of a shell in fenced blocks; lines that go on are joined."""
    for block in _FENCE.finditer(text):
        if block["kind"] == "sh":
            for line in block["body"].replace("\\\n", " ").splitlines():
                if line.strip() and not line.startswith("#"):
                    yield block["kind"], line


def fault(text: str) -> str | None:
    """What is wrong with the words after `backstay`; None when the command and its options exist."""
    command: Any = typer.main.get_command(build())
    words = re.split(r"[\s|]+", re.sub(r"[\[\]]", " ", text.partition(" #")[0].replace("\\|", "|")))
    path = ["backstay"]
    while hasattr(command, "list_commands") and words:
        word = words.pop(0).strip(",;:.…")
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        below = command.get_command(None, word)
        if below is None:
            return f"`{' '.join(path)}` has no command {word}"
        command = below
        path.append(word)
    known = {name for param in command.params for name in param.opts} | {"--help", "-h"}
    for word in words:
        name = word.partition("=")[0].rstrip("…,.;:)")
        if re.fullmatch(r"--[a-z][a-z-]*", name) and name not in known:
            return f"`{' '.join(path)}` has no option {name}"
    return None
