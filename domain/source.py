"""What a node is told about data that is not in a directory, and about its own programs around the work.

Apart from the ports, because the configuration is checked before anything is opened. The texts may hold `{service}`,
`{tenant}` and `{directory}`: names that were checked when they arrived, and a path beneath the apps root.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SourceKind(StrEnum):
    """What a source is; it decides how its bytes are cut and put back."""

    COMMAND = "command"  # the standard output of a program, restored to the standard input of another
    VOLUME = "volume"  # a block image: a file or a device


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """One source. `save` and `restore` are programs with their arguments, never a shell's line."""

    name: str
    kind: SourceKind
    save: tuple[str, ...] = ()
    restore: tuple[str, ...] = ()
    path: str = ""  # of a volume
    seconds: float = 3600.0  # how long a program may run


@dataclass(frozen=True, slots=True)
class HookSettings:
    """Programs around the work; empty: none."""

    before_snapshot: tuple[str, ...] = ()
    after_snapshot: tuple[str, ...] = ()
    before_restore: tuple[str, ...] = ()
    after_restore: tuple[str, ...] = ()
    seconds: float = 60.0
