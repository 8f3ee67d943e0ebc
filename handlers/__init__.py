"""The commands that Backstay understands: one file each, named after the message type.

A file holds the payload's model, its example, `handle`, and `subscription`. Policy that would not fit
in a page belongs in `domain/`. This package itself only says what every payload has in common.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import pydantic

from domain.errors import InvalidMessage
from domain.identity import check_id, check_name
from domain.registry import members
from domain.subscription import Subscription


class Payload(pydantic.BaseModel):
    """The `data` of a command: frozen, strict, and without unknown fields.

    A field that this version does not know is refused instead of ignored: a misspelt or a newer option
    that silently did nothing would make the outcome a lie.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


def _name(value: str) -> str:
    return _plain(check_name, value)


def _id(value: str) -> str:
    return _plain(check_id, value)


def _plain(check: Any, value: str) -> str:
    try:
        checked: str = check(value, "value")
    except InvalidMessage as error:
        raise ValueError(str(error)) from None
    return checked


Name = Annotated[str, pydantic.AfterValidator(_name)]
Id = Annotated[str, pydantic.AfterValidator(_id)]


def parse(subscription: Subscription, data: dict[str, Any]) -> Any:
    """The validated payload; InvalidMessage names the first faulty field and never repeats its value."""
    return parse_as(subscription.model, data)


def parse_as(model: type[Any], data: dict[str, Any]) -> Any:
    """The same for the data of a command that another one asks for."""
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(["data", *(str(part) for part in first["loc"])])
        raise InvalidMessage(f"{field}: {_in_words(first, model)}", field=field) from None


def _in_words(fault: Any, model: type[Any]) -> str:
    """What is wrong, in the words of somebody who writes JSON."""
    kind = fault["type"]
    if kind == "extra_forbidden":
        known = ", ".join(model.model_fields)
        return f"is no field here; the command has {known}"
    if kind == "missing":
        return "is missing"
    if kind.startswith("tuple"):
        return "must be a list"
    return str(fault["msg"]).removeprefix("Value error, ")


def subscriptions() -> dict[str, Subscription]:
    """Every message type by name, read from this folder."""
    return members(sys.modules[__name__], "subscription", Subscription)
