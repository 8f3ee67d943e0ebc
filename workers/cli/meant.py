"""What somebody probably meant who has typed a name that does not exist.

Apart from the commands because names of commands, message types, services and settings are all mistyped alike.
"""

from __future__ import annotations

from collections.abc import Iterable

#: Names that are compared; with more of them an answer would take longer than looking it up.
MOST = 5000


def meant(word: str, names: Iterable[str]) -> str:
    """`; did you mean …?` to end a sentence with, or nothing when no name is like the word."""
    from difflib import get_close_matches
    from itertools import islice

    close = get_close_matches(word, list(islice(names, MOST)))
    return f"; did you mean {' or '.join(close)}?" if close else ""
