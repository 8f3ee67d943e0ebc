"""What a command shows: one JSON document, or text for people; answers on stdout, the rest on stderr.

Apart from the commands because they say what, and only this file how. Colours and live displays exist on a
terminal only, and NO_COLOR is honoured; what is piped is plain, unwrapped and without trailing blanks.
Texts from messages never reach a terminal with control characters in them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import typer

from domain.errors import BackstayError
from workers.cli.exits import Exit, of_error

if TYPE_CHECKING:
    from rich.console import Console

#: Colours of words that stand in tables.
STYLES = {
    "SUCCEEDED": "green", "FAILED": "red", "STUCK": "red", "ROLLED_BACK": "yellow", "CANCELLED": "yellow",
    "ok": "green", "warn": "yellow", "fail": "red",
}  # fmt: skip

_OWNER = "look at its owner and mode, or set another place; `backstay config show --origin` tells where it is from"


class Screen:
    """Where one command shows things. With `as_json` all that is meant for people goes nowhere."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    # Made when something is shown: `--help` and completion show nothing here, and rich takes long to import.
    @cached_property
    def out(self) -> Console:
        """The answer's terminal or pipe."""
        return _console(stderr=False)

    @cached_property
    def err(self) -> Console:
        """Where everything else goes."""
        return _console(stderr=True)

    def document(self, document: Mapping[str, Any]) -> None:
        """The answer as JSON, if that was asked for; the only thing on stdout then."""
        if self.as_json:
            typer.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None))

    def line(self, text: str, style: str = "") -> None:
        """One line of the answer for people."""
        if not self.as_json:
            self._write(self.out, text, style)

    def raw(self, text: str) -> None:
        """One line of the answer that a program reads, byte for byte."""
        if not self.as_json:
            typer.echo(text)

    def note(self, text: str) -> None:
        """Something beside the answer, on stderr."""
        self._write(self.err, text, "")

    def table(self, titles: Sequence[str], rows: Sequence[Sequence[Any]], empty: str) -> None:
        """Rows for people; the sentence `empty` when there are none. None is shown as a dash."""
        if self.as_json:
            return
        if not rows:
            self.line(empty)
            return
        cells = [[clean("-" if cell is None or cell == "" else str(cell)) for cell in row] for row in rows]
        if not self.out.is_terminal:
            self._plain([list(titles), *cells])
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in titles:
            table.add_column(title, no_wrap=title == "ID")  # an id in pieces cannot be copied
        for row in cells:
            table.add_row(*(Text(cell, style=STYLES.get(cell, ""), overflow="fold") for cell in row))
        self.out.print(table)

    def facts(self, facts: Sequence[tuple[str, Any]]) -> None:
        """Names and values, one per line; what is None or empty is left out."""
        shown = [(name, str(value)) for name, value in facts if value not in (None, "", [], {})]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            self.line(f"{name:<{width}}  {value}", STYLES.get(value, ""))

    def failed(self, sentence: str, next_step: str, code: str, more: Mapping[str, Any] | None = None) -> None:
        """An error for people on stderr, and as a document with `more` in it if JSON was asked for."""
        self._write(self.err, f"error: {sentence}", "red")
        if next_step:
            self.note(f"next: {next_step}")
        self.document({"error": {"code": code, "sentence": sentence, "next_step": next_step}} | dict(more or {}))

    def _plain(self, rows: list[list[str]]) -> None:
        widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
        for row in rows:
            typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def _write(self, console: Console, text: str, style: str) -> None:
        from rich.text import Text

        console.print(Text(clean(text), style=style), soft_wrap=True)


def _console(stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def clean(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal would act on."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)


@contextmanager
def reporting(as_json: bool = False) -> Iterator[Screen]:
    """A screen; errors of ours that leave the block are shown on it and become the exit code."""
    from workers.config import ConfigError

    screen = Screen(as_json)
    try:
        yield screen
    except ConfigError as error:
        for problem in error.problems:
            screen.note(f"error: {problem}")
        screen.note("next: correct the configuration; `backstay config show --origin` tells where a value is from")
        screen.document({"error": {"code": "configuration", "sentence": str(error), "problems": error.problems}})
        raise typer.Exit(Exit.USAGE) from None
    except BackstayError as error:
        screen.failed(str(error), error.next_step, error.code)
        raise typer.Exit(of_error(error)) from None
    except OSError as error:
        if error.filename is None:
            raise
        screen.failed(f"cannot use {error.filename}: {error.strerror}", _OWNER, "not-usable")
        raise typer.Exit(Exit.FAILED) from None
