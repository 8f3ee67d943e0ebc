"""What the double answers, and what every handler is given.

Apart from the handlers so that they share one small vocabulary. An answer is complete bytes: oddities such as
two documents in one body are part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and extra headers of one reply."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Rejected(Exception):
    """A handler stops with `answer`; what it changed before stays changed."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(slots=True)
class Request:
    """One call to a service: its row, its tenant's rows by alias, the body and the number or name in the path."""

    service: Row
    services: dict[str, Row]
    root: Row
    body: Any
    raw: bytes
    generation: str
    part: str = ""

    @property
    def modern(self) -> bool:
        return self.generation == "M"


def ok(**parts: Any) -> Answer:
    """200 with `bean`, `list` or nothing."""
    return Answer(200, json.dumps(parts).encode())


def refuse(status: int, message: str, *, twice: bool = False) -> Rejected:
    """An error with `msg`; `twice`: the handler forgot to return, and success follows in the same body."""
    body = json.dumps({"msg": message})
    return Rejected(Answer(status, (body + '{"bean":"success"}' if twice else body).encode()))


def invalid(name: str, text: str) -> Rejected:
    """400 of the validator."""
    return Rejected(Answer(400, json.dumps({"validation_error": {name: [text]}}).encode()))


_KINDS = {"text": str, "int": int, "bool": bool, "list": list, "map": dict}


def typed(row: Any, **types: str) -> Row:
    """`row` as an object whose present fields have these JSON types; anything else is a 400."""
    if not isinstance(row, dict):
        raise invalid("_error", "json: cannot unmarshal into Go value")
    for name, kind in types.items():
        value = row.get(name)
        wrong = not isinstance(value, _KINDS[kind]) or (kind == "int" and isinstance(value, bool))
        if value is not None and wrong:
            raise invalid("_error", f"json: cannot unmarshal field {name} into Go value of type {kind}")
    return row


def required(row: Row, *names: str) -> None:
    """400 for the first field that is absent or empty."""
    for name in names:
        if row.get(name) in (None, ""):
            raise invalid(name, f"The {name} field is required")
    for name in ("tenant_id",):
        if row.get(name) and not 30 <= len(row[name]) <= 33:
            raise invalid(name, f"The {name} field must be between 30 and 33")


def find(rows: list[Row], **wanted: Any) -> Row | None:
    """The first row with these values."""
    return next((row for row in rows if all(row.get(name) == value for name, value in wanted.items())), None)


def drop(rows: list[Row], **wanted: Any) -> int:
    """Remove the rows with these values; how many there were."""
    before = len(rows)
    rows[:] = [row for row in rows if not all(row.get(name) == value for name, value in wanted.items())]
    return before - len(rows)
