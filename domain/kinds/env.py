"""Environment variables of the service itself (scopes inner, both and build)."""

from __future__ import annotations

import functools

from domain import env_rules
from domain.kind import Kind

kind = Kind(
    rank=20,
    compared=env_rules.COMPARED,
    diff=functools.partial(env_rules.diff, "env"),
    effect=env_rules.effect,
    calls=env_rules.calls,
    undo=env_rules.undo,
    restore=env_rules.restore,
)
