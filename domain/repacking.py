"""Which packs of a service are worth rewriting: those of which its snapshots need little.

Apart from the handler because the decision is pure. A pack that any unreadable snapshot names is never chosen: what
that one needs is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Packs that one operation rewrites at most, so that it ends; the next one goes on.
MOST_PACKS = 256
#: Bytes of a pack that are neither needed nor waste: its index, which comes again with every new pack.
OVERHEAD = 4096


@dataclass(frozen=True, slots=True)
class PackUse:
    """What one snapshot needs of a pack: its bytes, and stored bytes by offset of the segments."""

    bytes: int
    segments: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class SparsePack:
    """A pack and how many of its bytes are needed."""

    key: str
    bytes: int
    live: int

    @property
    def waste(self) -> int:
        """Bytes that rewriting it would win."""
        return max(0, self.bytes - self.live - OVERHEAD)


@dataclass(frozen=True, slots=True)
class Repacked:
    """Keys of the packs that were written, and of those that they stand for."""

    written: tuple[str, ...]
    moved: tuple[str, ...]


class Uses:
    """What all snapshots together need of each pack. Grows with the packs that there are, and not with the snapshots
    that share them."""

    def __init__(self) -> None:
        self._live: dict[str, dict[int, int]] = {}
        self._sizes: dict[str, tuple[str, int]] = {}  # the key once more, as the one string for it that is kept

    def add(self, needed: Mapping[str, PackUse]) -> tuple[str, ...]:
        """Count what one more snapshot needs; the keys of its packs, which cost next to nothing to keep."""
        for key, use in needed.items():
            self._sizes.setdefault(key, (key, use.bytes))
            self._live.setdefault(key, {}).update(use.segments)
        return tuple(self._sizes[key][0] for key in needed)

    def sparse(self, unknown: Iterable[str], percent: int) -> list[SparsePack]:
        """Packs of which less than so many percent is needed, the most wasteful first."""
        kept = set(unknown)
        found = [
            SparsePack(key, size, sum(self._live[key].values()))
            for key, size in self._sizes.values()
            if key not in kept
        ]
        chosen = [pack for pack in found if pack.waste * 100 > pack.bytes * (100 - percent)]
        return sorted(chosen, key=lambda pack: (-pack.waste, pack.key))
