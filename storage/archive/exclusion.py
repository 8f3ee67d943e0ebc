"""What a snapshot leaves out: gitignore patterns, and always Backstay's own folders at the root.

Apart from the walker, so that the pattern language has one home and can be tested without files. As in
git, a pattern is relative to the service's directory and a directory that is left out is not entered.

Patterns come in messages and names from tenants, and matching holds the interpreter's lock: a pattern whose
wildcards could be tried in millions of ways would stop a whole node, so it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from domain.errors import InvalidMessage

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

OWN_PREFIX = b".backstay"
#: Wildcards of one pattern: `*` in one name, and `**` that are not its end. The work grows with their power.
MOST_STARS, MOST_DEEP = 3, 2
_LITERAL = re.compile(r"\\.|\[[^\]]*\]")


class Exclusion:
    """Decides by path. Paths are relative, with `/`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises InvalidMessage(field="exclude") for a pattern that git would not take either."""
        self._spec = _parsed(patterns) if patterns else None

    @property
    def active(self) -> bool:
        """Whether anything can be left out at all."""
        return self._spec is not None

    def leaves_out(self, path: bytes, is_directory: bool) -> bool:
        """Whether the entry at `path`, and all beneath it, is left out."""
        if self._spec is None:
            return False
        text = path.decode("utf-8", "surrogateescape")
        return self._spec.match_file(text + "/" if is_directory else text)


def _parsed(patterns: Sequence[str]) -> GitIgnoreSpec:
    from pathspec import GitIgnoreSpec  # costs a twentieth of a process that only looks whether anything has changed

    for pattern in patterns:
        _check_work(pattern)
    try:
        return GitIgnoreSpec.from_lines(patterns)
    except (ValueError, re.error) as error:
        raise InvalidMessage(f"a pattern in exclude cannot be read: {error}", field="exclude") from None


def _check_work(pattern: str) -> None:
    names = _LITERAL.sub("x", pattern).rstrip("/").removesuffix("/**").split("/")
    deep = sum(name == "**" for name in names)
    if deep > MOST_DEEP or any(name.count("*") > MOST_STARS for name in names if name != "**"):
        raise InvalidMessage(
            f"the pattern {pattern[:80]!r} has too many wildcards: at most {MOST_STARS} * in one name, and "
            f"{MOST_DEEP} ** in all",
            field="exclude",
        )
