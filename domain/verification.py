"""What reading a snapshot back has shown: how closely it was looked at, and what of it is damaged.

Apart from restoring because nothing is brought back. A store that does not answer is never a finding: only
bytes that are missing or wrong are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class VerifyLevel(StrEnum):
    """How closely to look; each includes the ones before."""

    EXISTS = "exists"  # the manifest is authentic and every pack is there with its size
    HASH = "hash"  # every segment was read, decompressed, and has its digest
    RESTORE_TEST = "restore-test"  # the whole tree was built beside the live ones, and removed again


#: Levels at which every byte was read.
READ_BACK = frozenset({VerifyLevel.HASH.value, VerifyLevel.RESTORE_TEST.value})


@dataclass(frozen=True, slots=True)
class Fault:
    """One object, or a part of one, that is not what was written."""

    key: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verified:
    """The findings. `affected` names at most `MOST_NAMED` files; `affected_files` counts all of them."""

    level: VerifyLevel
    packs: int
    bytes_read: int  # stored bytes that were fetched and found right
    files: int
    faults: tuple[Fault, ...] = ()
    affected: tuple[str, ...] = ()
    affected_files: int = 0

    @property
    def sound(self) -> bool:
        """Whether everything that was looked at is as it was written."""
        return not self.faults


#: Affected files that are named; a damaged pack may hold thousands.
MOST_NAMED = 200
