"""`backstay completion`: what a shell offers after TAB, taken from the parser itself.

Apart from the commands because it knows none of them: it walks the same tree that the command line is parsed
by. A script for the shell only calls `completion words` with what stands on the line so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from workers.cli.screen import reporting
from workers.cli.session import AsJson

group = typer.Typer(no_args_is_help=True, help="Completion of commands and options, for a shell.")

BASH = """\
_backstay() {
    local IFS=$'\\n'
    COMPREPLY=($(backstay completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _backstay backstay
"""
ZSH = """\
#compdef backstay
_backstay() {
    local -a found
    found=("${(@f)$(backstay completion words --described -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ -n "${found[1]}" ]]; then _describe backstay found; else _files; fi
}
if [[ "$funcstack[1]" = _backstay ]]; then _backstay "$@"; else compdef _backstay backstay; fi
"""
FISH = """\
complete --command backstay --keep-order --arguments \\
    '(backstay completion words --tabs -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
"""


@group.command()
def bash(as_json: AsJson = False) -> None:
    """Print the script for bash."""
    _print("bash", BASH, as_json)


@group.command()
def zsh(as_json: AsJson = False) -> None:
    """Print the script for zsh."""
    _print("zsh", ZSH, as_json)


@group.command()
def fish(as_json: AsJson = False) -> None:
    """Print the script for fish."""
    _print("fish", FISH, as_json)


@group.command(hidden=True)
def words(
    line: Annotated[list[str] | None, typer.Argument(metavar="WORD…", help="The words after backstay.")] = None,
    described: Annotated[bool, typer.Option("--described", help="Each with `:` and what it is.")] = False,
    tabs: Annotated[bool, typer.Option("--tabs", help="Each with a tab and what it is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print what the last of these words can become, one a line."""
    with reporting(as_json) as screen:
        found = candidates(line or [""])
        screen.document({"words": [{"word": word, "about": about} for word, about in found]})
        for word, about in found:
            text = word.replace(":", "\\:") if described else word
            screen.raw(f"{text}{':' if described else chr(9)}{about}" if about and (described or tabs) else text)


def candidates(line: Sequence[str]) -> list[tuple[str, str]]:
    """(word, what it is) for each completion of the last word of `line`."""
    from workers.cli.app import build

    command: Any = typer.main.get_command(build())
    *before, last = line
    waiting, free = None, 0  # the option whose value comes next; arguments seen
    for word in before:
        if waiting is not None:
            waiting = None
        elif word.startswith("-"):
            option = next((param for param in command.params if word in param.opts), None)
            waiting = None if option is None or option.is_flag else option
        elif hasattr(command, "commands"):
            command = command.get_command(None, word)
            if command is None:
                return []
        else:
            free += 1
    if waiting is not None:
        found = _choices(waiting)
    elif last.startswith("-"):
        found = _options(command)
    elif hasattr(command, "commands"):
        found = _commands(command)
    else:
        found = _argument(command, free)
    return [(word, about) for word, about in found if word.lower().startswith(last.lower())]


def _commands(group: Any) -> list[tuple[str, str]]:
    if abouts := getattr(group, "abouts", None):
        return list(abouts().items())
    shown = ((name, group.get_command(None, name)) for name in group.list_commands(None))
    return [(name, command.get_short_help_str(80)) for name, command in shown if not command.hidden]


def _options(command: Any) -> list[tuple[str, str]]:
    options = [param for param in command.params if param.param_type_name == "option"]
    return [*((name, option.help or "") for option in options for name in option.opts), ("--help", "Show how.")]


def _choices(param: Any) -> list[tuple[str, str]]:
    if param.metavar == "TYPE":
        return _message_types()
    return [(str(getattr(choice, "value", choice)), "") for choice in param.type_descriptor.choices or ()]


def _argument(command: Any, number: int) -> list[tuple[str, str]]:
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    return _choices(arguments[number]) if number < len(arguments) else []


def _message_types() -> list[tuple[str, str]]:
    from workers.cli.messages import names

    return [(name, "") for name in names()]


def _print(shell: str, script: str, as_json: bool) -> None:
    with reporting(as_json) as screen:
        screen.document({"shell": shell, "script": script})
        for line in script.splitlines():
            screen.raw(line)
