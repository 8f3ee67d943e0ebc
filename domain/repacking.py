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


def sparse(uses: Iterable[Mapping[str, PackUse]], unknown: Iterable[str], percent: int) -> list[SparsePack]:
    """Packs of which less than so many percent is needed by all those snapshots together, the most wasteful first."""
    sizes: dict[str, int] = {}
    live: dict[str, dict[int, int]] = {}
    for needed in uses:
        for key, use in needed.items():
            sizes[key] = use.bytes
            live.setdefault(key, {}).update(use.segments)
    kept = set(unknown)
    found = [SparsePack(key, size, sum(live[key].values())) for key, size in sizes.items() if key not in kept]
    chosen = [pack for pack in found if pack.waste * 100 > pack.bytes * (100 - percent)]
    return sorted(chosen, key=lambda pack: (-pack.waste, pack.key))
