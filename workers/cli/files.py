"""Files that people write by hand: one object as JSON, TOML or YAML, by the file's ending.

Apart from the commands because two of them read such files. A key that comes twice is refused, because one of
its values would be lost; of YAML only what JSON can say is taken, so that no file means more than it shows.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import yaml

from domain.errors import InvalidMessage
from workers.cli.sending import named_once

_FORMS = {".toml": "TOML", ".yaml": "YAML", ".yml": "YAML"}


class _PlainLoader(yaml.SafeLoader):
    """Safe YAML without aliases, which a small file can blow up with, and without repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not taken", problem_mark=self.get_mark())
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        found = super().construct_mapping(node, deep)
        if len(found) != len(node.value) or not all(isinstance(key, str) for key in found):
            raise yaml.MarkedYAMLError(problem="a key twice, or one that is no text", problem_mark=node.start_mark)
        return found


def read_object(file: Path) -> dict[str, Any]:
    """The one object in `file`. InvalidMessage says what is wrong and where, and never quotes a value."""
    form = _FORMS.get(file.suffix, "JSON")
    try:
        found = _parse(form, file.read_text(encoding="utf-8"))
        json.dumps(found)
    except OSError as error:
        raise InvalidMessage(f"cannot read {file}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise InvalidMessage(f"{file} is not {form}{_where(error)}") from None
    except TypeError:
        raise InvalidMessage(f"{file} holds a date or a time, which JSON does not have; write it as a text") from None
    except RecursionError:
        raise InvalidMessage(f"{file} is nested too deep") from None
    if not isinstance(found, dict):
        raise InvalidMessage(f"{file} must hold one object")
    return found


def _parse(form: str, text: str) -> Any:
    if form == "TOML":
        return tomllib.loads(text)
    if form == "YAML":
        return _PlainLoader(text).get_single_data()
    return json.loads(text, object_pairs_hook=named_once)


def _where(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f" (line {error.lineno})"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f" (line {error.problem_mark.line + 1}: {error.problem})"
    return ""
