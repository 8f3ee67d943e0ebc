"""Spans of time as people type them: `90min`, `26h`, `1d 12h`. Apart from the commands because several take them."""

from __future__ import annotations

import re

from domain.errors import InvalidMessage

_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
#: A span longer than this is a mistake.
_MOST_CHARACTERS = 100
_PART = re.compile(r"\s*([0-9]{1,9})\s*([a-z]+)")


def seconds_of(text: str, option: str) -> int:
    """Whole seconds; InvalidMessage, naming the option, for anything else."""
    total, rest = 0, text.strip()
    if rest.isascii() and rest.isdecimal() and len(rest) < 10:
        return int(rest)
    while rest:
        found = _PART.match(rest)
        if found is None or len(text) > _MOST_CHARACTERS or found[2] not in _UNITS:
            raise InvalidMessage(
                f"{option}: must be a span such as 90min, 26h or '1d 12h', or a number of seconds", field=option
            )
        total, rest = total + int(found[1]) * _UNITS[found[2]], rest[found.end() :].strip()
    return total
