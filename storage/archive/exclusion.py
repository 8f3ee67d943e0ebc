"""What a snapshot leaves out: gitignore patterns, and always Backstay's own folders at the root.

Apart from the walker, so that the pattern language has one home and can be tested without files. As in
git, a pattern is relative to the service's directory and a directory that is left out is not entered.
"""

from __future__ import annotations

from collections.abc import Sequence

from pathspec import GitIgnoreSpec

from domain.errors import InvalidMessage

OWN_PREFIX = b".backstay"


class Exclusion:
    """Decides by path. Paths are relative, with `/`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        """Raises InvalidMessage(field="exclude") for a pattern that git would not take either."""
        self.active = bool(patterns)
        try:
            self._spec = GitIgnoreSpec.from_lines(patterns)
        except ValueError as error:
            raise InvalidMessage(f"a pattern in exclude cannot be read: {error}", field="exclude") from None

    def leaves_out(self, path: bytes, is_directory: bool) -> bool:
        """Whether the entry at `path`, and all beneath it, is left out."""
        text = path.decode("utf-8", "surrogateescape")
        return self._spec.match_file(text + "/" if is_directory else text)
