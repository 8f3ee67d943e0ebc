"""How an operator writes what a node may do: sizes, rates, and slots by kind.

Apart from values.py because these have a form of their own. ValueError says what is wrong, in the words of somebody
who writes it.
"""

from __future__ import annotations

import json
import re

from domain.errors import InvalidMessage
from domain.identity import check_name

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
#: Below it nothing would end: a pack has 16 MiB.
SLOWEST = 64 << 10


def size(text: str) -> int:
    """`500`, `20M`, `1.5G`: bytes, in powers of 1024."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise ValueError("must be a number of bytes, such as 500000, 20M or 1.5G")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def rate(text: str) -> int:
    """Bytes per second."""
    found = size(text)
    if found < SLOWEST:
        raise ValueError(f"must be at least {SLOWEST >> 10}K bytes per second")
    return found


def slots(text: str) -> dict[str, int]:
    """`create-snapshot=2,all=6`, or the same as a JSON object; whether the kinds exist is asked when a node starts."""
    if text.lstrip().startswith("{"):
        pairs = json.loads(text).items()  # a table of the configuration file
    else:
        pairs = [item.strip().partition("=")[::2] for item in text.split(",")]
    found = {}
    for kind, count in pairs:
        try:
            name = check_name(kind.strip(), "kind")
        except InvalidMessage as error:
            raise ValueError(str(error)) from None
        if not str(count).strip().isdigit() or not 1 <= int(count) <= 10_000:
            raise ValueError(f"{name} must have a whole number of slots from 1 on, such as {name}=2")
        found[name] = int(count)
    return found
