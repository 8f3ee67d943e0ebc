"""Finding the members of a folder: the file's name is the member's name, one attribute is its value.

Used for message types, item kinds and object backends, so that adding one is adding one file. Names
never come from a message into `import`: the folder is listed first.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")


def members(package: ModuleType, attribute: str, kind: type[T]) -> dict[str, T]:
    """Import each module of `package` and take `attribute` from it.

    Keys are the modules' names with `_` as `-`. Raises TypeError for a module without the attribute or
    with one of another type: a file in the wrong folder is a mistake, not something to skip.
    """
    found: dict[str, T] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        value = getattr(module, attribute, None)
        if not isinstance(value, kind):
            raise TypeError(f"{module.__name__} must define `{attribute}` of type {kind.__name__}, found {value!r}")
        found[info.name.replace("_", "-")] = value
    return found
