"""What documents from outside must be shaped like, and how a fault in one is worded.

Apart from the formats because all of them say it in the same way: the dotted path of what is wrong, and what
it must be. A value is never repeated, for it may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.errors import InvalidMessage

Row = dict[str, Any]

#: A field's name in an error; longer ones are cut, because somebody may have written a value in its place.
LONGEST_NAME = 60


def fault(path: str, what: str) -> InvalidMessage:
    """`what` follows the path in the sentence: "must be a list"."""
    return InvalidMessage(f"{path} {what}", field=path)


def mapping(value: Any, path: str) -> Mapping[str, Any]:
    """An object."""
    if not isinstance(value, Mapping):
        raise fault(path, "must be an object")
    return value


def rows(document: Mapping[str, Any], name: str, path: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The objects of a list, each with its path; absent and null are none."""
    return [(where, mapping(entry, where)) for where, entry in entries(document.get(name), f"{path}.{name}")]


def entries(value: Any, path: str) -> list[tuple[str, Any]]:
    """What a list holds, each with its path; null holds nothing."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise fault(path, "must be a list")
    return [(f"{path}.{number}", entry) for number, entry in enumerate(value)]


def text(row: Mapping[str, Any], column: str, path: str) -> str:
    """A text that is not empty."""
    value = row.get(column)
    if value in (None, ""):
        raise fault(f"{path}.{column}", "is missing")
    if not isinstance(value, str):
        raise fault(f"{path}.{column}", "must be a text")
    return value


def optional_text(row: Mapping[str, Any], column: str, path: str) -> str | None:
    """A text; absent, null and empty are None, a number is its digits."""
    value = row.get(column)
    return None if value in (None, "") else str(scalar(value, f"{path}.{column}"))


def scalar(value: Any, path: str) -> str | int | float:
    """A text or a number."""
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise fault(path, "must be a text or a number")
    return value


def whole(value: Any, path: str, least: int = 0, most: int = 2**31 - 1) -> int:
    """A whole number within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise fault(path, f"must be a whole number from {least} to {most}")
    return value


def port(row: Mapping[str, Any], column: str, path: str) -> int:
    """A port's number."""
    if row.get(column) is None:
        raise fault(f"{path}.{column}", "is missing")
    return whole(row[column], f"{path}.{column}", 1, 65535)


def without(row: Mapping[str, Any], *columns: str) -> Row:
    """A row of its own that lacks the columns."""
    return {name: value for name, value in row.items() if name not in columns}
