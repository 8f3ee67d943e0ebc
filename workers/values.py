"""How the text of one setting becomes its value; ValueError says what it must be.

Apart from config.py, which says which settings there are and where they come from: here nothing is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from domain.errors import InvalidMessage
from domain.identity import check_name


def text(value: str) -> str:
    """Anything but nothing."""
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def path(value: str) -> str:
    """An absolute path; `~` is the home."""
    return os.path.abspath(os.path.expanduser(text(value)))


def node(value: str) -> str:
    """The name of a node."""
    try:
        return check_name(value, "node")
    except InvalidMessage as error:
        raise ValueError(str(error)) from None


def count(value: str) -> int:
    """A whole number from 1."""
    if not value.isdigit() or not 1 <= int(value) <= 1_000_000:
        raise ValueError("must be a whole number from 1 to 1000000")
    return int(value)


def seconds(value: str) -> int:
    """A whole number from 0."""
    if not value.isdigit() or int(value) > 10_000_000:
        raise ValueError("must be a whole number from 0 to 10000000")
    return int(value)


def history(value: str) -> int:
    """Days that ended operations are kept."""
    if not value.isdigit() or not 7 <= int(value) <= 100_000:
        raise ValueError("must be a number of days, at least 7: what is forgotten is new when it is delivered again")
    return int(value)


def url(*schemes: str) -> Callable[[str], str]:
    """A function that wants a URL with one of these schemes."""

    def check(value: str) -> str:
        scheme = value.partition(":")[0].partition("+")[0]
        if scheme not in schemes:
            raise ValueError(f"must be a URL with one of the schemes {', '.join(schemes)}")
        return value

    return check


def address(value: str) -> str:
    """HOST:PORT."""
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be HOST:PORT")
    return value


def switch(value: str) -> bool:
    """on or off."""
    if value.lower() not in ("on", "off"):
        raise ValueError("must be on or off")
    return value.lower() == "on"


def level(value: str) -> str:
    """A level of logging."""
    if value.lower() not in ("debug", "info", "warning", "error"):
        raise ValueError("must be debug, info, warning or error")
    return value.lower()
