"""`backstay schema`: the JSON Schema of what a command prints with `--json`, made from the types in answers/.

Apart from the types because these say what and this says how it is written down. Nothing is contacted. The
schemas allow what they do not name, because documents may gain fields; our own tests ask for strict ones, so
that a field which nobody has documented is noticed.
"""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import typer

from domain.errors import NotFound
from workers.cli.screen import reporting
from workers.cli.session import AsJson

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}


def schema(
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND…]", help="Such as: operations show.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the JSON Schema of what a command answers with --json; of all commands when none is named."""
    with reporting(as_json) as screen:
        import json

        from workers.cli.answers import ANSWERS

        path = " ".join(command or ())
        if path and path not in ANSWERS:
            raise NotFound(
                f"there is no command {path} that answers with a document",
                code="unknown-command",
                next_step="`backstay schema --json` has all of them",
            )
        found = {name: schema_of(answer) for name, answer in ANSWERS.items() if path in ("", name)}
        screen.document({"schemas": found})
        for name, one in found.items():
            screen.line(name, "bold")
            for line in json.dumps(one, indent=2).splitlines():
                screen.raw(line)


def schema_of(kind: Any, *, strict: bool = False) -> dict[str, Any]:
    """The JSON Schema of a type; the objects in it stand in `$defs`. A strict one forbids fields without a name."""
    shared: dict[str, Any] = {}
    whole = _inner(kind, shared)
    if strict:
        for one in shared.values():
            one["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole, "$defs": shared}


def _inner(kind: Any, shared: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return {**_inner(arguments[0], shared), "description": str(arguments[1])}
    if origin is NotRequired:
        return _inner(arguments[0], shared)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_inner(one, shared) for one in arguments]}
    if origin is list:
        return {"type": "array", "items": _inner(arguments[0], shared)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _inner(arguments[1], shared)}
    if is_typeddict(kind):
        return _object(kind, shared)
    return dict(_PLAIN[kind])


def _object(kind: Any, shared: dict[str, Any]) -> dict[str, Any]:
    name = kind.__name__
    if name not in shared:
        shared[name] = {}  # an object may hold its own kind
        hints = get_type_hints(kind, include_extras=True)
        required = kind.__required_keys__ - {field for field, hint in hints.items() if get_origin(hint) is NotRequired}
        shared[name] = {
            "type": "object",
            "description": " ".join((kind.__doc__ or "").split()),
            "properties": {field: _inner(hint, shared) for field, hint in hints.items()},
            "required": [field for field in hints if field in required],
        }
    return {"$ref": f"#/$defs/{name}"}
