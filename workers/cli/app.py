"""The command line put together: only what was asked for is imported, and a mistake is answered in our words.

Apart from `__main__` so that tests can run it in their own process. `backstay --help` imports no command,
`backstay GROUP --help` makes none, so that help and completion are there at once. A mistake in the command
line has the form of every other error, as text and as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.models import CommandInfo

from workers.cli.exits import Exit
from workers.cli.meant import meant
from workers.cli.tree import BRANCHES, Branch

HELP = "Snapshots of services, and their restoration, driven by messages. `backstay demo` shows it."
#: Everything that typer finds wrong with a command line; it has no public name there, but its child has.
Mistake: type[Exception] = typer.BadParameter.__mro__[2]
_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


def build() -> typer.Typer:
    """The whole command line."""
    app = typer.Typer(
        cls=Root,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=_SETTINGS,
        help=HELP,
    )
    app.callback()(_nothing)
    return app


class Lazy(TyperGroup):
    """Commands that are made when they are asked for; the help tells all of them without."""

    def abouts(self) -> dict[str, str]:
        """Names, and what each is."""
        return dict.fromkeys(self.commands, "")

    def make(self, name: str) -> Any:
        """The command of a name that `abouts` has, or a hidden one; None if there is none."""
        return self.commands.get(name)

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names."""
        return list(self.abouts())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name; None if there is none."""
        if cmd_name not in self.commands:
            made = self.make(cmd_name)
            if made is None:
                return None
            self.commands[cmd_name] = made
        return self.commands[cmd_name]

    def get_help_option(self, ctx: Any) -> Any:
        """`--help`, false when it was not given: for anything else typer imports pydantic to make a bool of it."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer, but what is suggested comes from `abouts`."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"there is no command {args[0]}{meant(args[0], self.abouts())}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """All names with what they are."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.abouts().items()))


class Root(Lazy):
    """`backstay` itself: finds a command in the table, and imports the files that make it."""

    def abouts(self) -> dict[str, str]:
        """From the table."""
        return {name: branch.about for name, branch in BRANCHES.items()}

    def make(self, name: str) -> Any:
        """A group, or the function that has the command's name."""
        branch = BRANCHES.get(name)
        return None if branch is None else _made(name, branch)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **__: Any) -> Any:
        """Run; ends in SystemExit. A mistake in `args` is code 2, and a document if --json is among them."""
        given = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(given, prog_name=prog_name, standalone_mode=False)
        except typer.Abort:
            typer.echo("error: stopped at a question; nothing was changed", err=True)
            code = Exit.FAILED
        except Mistake as error:
            code = _mistake(error, "--json" in given)
        sys.exit(code if isinstance(code, int) else 0)


class Group(Lazy):
    """The commands that the files of one group have declared."""

    def __init__(self, path: str, app: typer.Typer) -> None:
        super().__init__(
            name=path, help=app.info.help, no_args_is_help=True, rich_markup_mode=None, context_settings=_SETTINGS
        )
        self._path = path
        self._infos = {_name(info): info for info in app.registered_commands}

    def abouts(self) -> dict[str, str]:
        """From the first sentences of the functions, but for hidden ones."""
        return {name: _first_sentence(info) for name, info in self._infos.items() if not info.hidden}

    def make(self, name: str) -> Any:
        """From the function."""
        info = self._infos.get(name)
        return None if info is None else _single(info, f"{self._path} {name}")


def _made(name: str, branch: Branch) -> Any:
    modules = [import_module(f"workers.cli.{module}") for module in branch.modules]
    if branch.group:
        found: Any = Group(name, modules[0].group)
        return _with_examples(found, name)
    return _single(CommandInfo(name, callback=getattr(modules[0], name.replace("-", "_"))), name)


def _single(info: CommandInfo, path: str) -> Any:
    """One command as the parser knows it, with its examples."""
    app = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, context_settings=_SETTINGS
    )
    app.registered_commands = [info]
    found: Any = typer.main.get_command(app)
    found.name = path.rpartition(" ")[2]
    return _with_examples(found, path)


def _with_examples(command: Any, path: str) -> Any:
    from workers.cli.examples import EXAMPLES

    if lines := EXAMPLES.get(path):
        command.epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
    return command


def _name(info: CommandInfo) -> str:
    return info.name or str(getattr(info.callback, "__name__", "")).replace("_", "-")


def _first_sentence(info: CommandInfo) -> str:
    text = " ".join((getattr(info.callback, "__doc__", "") or "").split())
    return text.partition(". ")[0].removesuffix(".")


def _mistake(error: Any, as_json: bool) -> int:
    """A command line that does not parse, told like every other error; its code."""
    if type(error).__name__ == "NoArgsIsHelpError":  # a group's name and nothing after it: its help is the answer
        typer.echo(error.format_message(), err=True)
        return Exit.USAGE
    sentence = _sentence(error)
    context = getattr(error, "ctx", None)
    next_step = f"`{context.command_path if context else 'backstay'} --help` shows how, with examples"
    typer.echo(f"error: {sentence}\nnext: {next_step}", err=True)
    if as_json:
        typer.echo(json.dumps({"error": {"code": "usage", "sentence": sentence, "next_step": next_step}}))
    return Exit.USAGE


def _sentence(error: Any) -> str:
    """What is wrong, and what was probably meant."""
    if close := getattr(error, "possibilities", None):
        return f"{_plain(error.message)}; did you mean {' or '.join(sorted(close))}?"
    return _plain(error.format_message())


def _plain(text: str) -> str:
    text = " ".join(text.split()).removesuffix(".").replace("Value error, ", "")
    return text[:1].lower() + text[1:]


def _nothing() -> None:
    """What happens between `backstay` and its command."""
