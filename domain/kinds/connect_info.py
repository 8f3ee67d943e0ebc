"""Connection information: variables that services depending on this one see (scope outer).

The variables that an inner port brings along are of this kind as well, with the port's number.
"""

from __future__ import annotations

import functools

from domain import env_rules
from domain.kind import Kind

kind = Kind(
    rank=30,
    compared=env_rules.COMPARED,
    diff=functools.partial(env_rules.diff, "connect_info"),
    effect=env_rules.effect,
    calls=env_rules.calls,
    undo=env_rules.undo,
    restore=env_rules.restore,
)
