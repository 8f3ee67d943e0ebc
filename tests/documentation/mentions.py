"""Finding commands in text: in fenced blocks of pages, between backticks in sentences, and in the program's own words.

Apart from the tests because one of them runs what it finds, and another only asks whether it exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.exceptions import TyperException

from workers.cli.app import build

ROOT = Path(__file__).parents[2]
#: `backstay …` between backticks; in a program's text values stand in braces, in a table a bar is escaped.
_INLINE = re.compile(r"`backstay ([a-z][^`\n]*)`")
_FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_ADJOINED = re.compile(r'"\s*\n\s*f?"')  # a string that goes on in the next line of a program

#: Parameters of which a command looks for one itself, as it can do without each.
ONE_OF = {
    "snapshots create": {"service", "subject"},
    "snapshots import": {"service", "subject"},
    "snapshots restore": {"snapshot_id", "at"},
    "schedules set": {"service", "tenant"},
    "publish": {"subject"},
}


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
    """What is wrong with the words after `backstay`; None when they could be typed, values apart. A command that is
    only named, without any word behind it, has nothing to be typed."""
    command: Any = typer.main.get_command(build())
    words = _typed(text)
    path: list[str] = []
    while hasattr(command, "list_commands") and words:
        word = words.pop(0).strip(",;:.…")
        if not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        below = command.get_command(None, word)
        if below is None:
            return f"`{' '.join(['backstay', *path])}` has no command {word}"
        command = below
        path.append(word)
    trouble = _refusal(command, " ".join(path), words) if words else None
    return trouble and f"`{' '.join(['backstay', *path])}` {trouble}"


def _typed(text: str) -> list[str]:
    """The least of what somebody types who follows it: nothing optional, of alternatives the first, no value."""
    text = text.partition(" #")[0].replace("\\|", "|")
    for value in (r"\{[^{}]*\}", r"'[^']*'|\"[^\"]*\"|‹[^›]*›|<[a-z ]+>"):
        while (shorter := re.sub(value, "VALUE", text)) != text:
            text = shorter
    text = re.sub(r"\(([^()|]*)\|[^()]*\)", r"\1", text)
    while (shorter := re.sub(r"\[[^\[\]]*\]…?", "", text)) != text:
        text = shorter
    text = re.split(r"\s(?:\||\|\||&&|&|>)(?:\s|$)", text)[0]
    text = re.sub(r"\|--[a-z-]+(?: [^-\s|]\S*)?", "", text)
    return [word.partition("|")[0] for word in text.split()]


def _refusal(command: Any, name: str, words: list[str]) -> str | None:
    """Why the program would not take these words; what is left out (`…`) it cannot be asked about."""
    known = {option for param in command.params for option in param.opts}
    given = [word.partition("=")[0].rstrip("…,.;:)") for word in words]
    if wrong := [word for word in given if re.fullmatch(r"--[a-z][a-z-]*", word) and word not in {*known, "--help"}]:
        return f"has no option {wrong[0]}"
    if "--help" in given or any(word == "…" and not before.startswith("--") for before, word in pairwise(["", *words])):
        return None
    try:
        found, beyond, _ = command.make_parser(typer.Context(command)).parse_args(list(words))
    except TyperException as error:  # what every mistake in a command line is
        return f"is refused: {error}"
    if beyond:
        return f"takes no {' '.join(beyond)}"
    there = {key for key, value in found.items() if value and isinstance(value, str | bool | list | tuple)}
    for param in command.params:
        if param.required and param.name not in there:
            return f"lacks {param.opts[0]}"
    if name in ONE_OF and not there & ONE_OF[name]:
        return f"lacks one of {', '.join(sorted(ONE_OF[name]))}"
    return None
