"""What a store was found to be able to do; apart from finding it out, because it is remembered and shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ability:
    """One thing that a store can do or not. Without a `needed` one no snapshot is safe."""

    name: str
    works: bool
    needed: bool
    sentence: str  # what is wrong when it does not work
    next_step: str
