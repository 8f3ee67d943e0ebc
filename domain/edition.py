"""Which programs may carry out an operation, as one number that grows when the next program does what those before it
would do wrongly: the edition.

Apart from the types of messages, whose versions say what publishers may write: a command of a type that an older
program knows may still need what it does not know, and what a newer program has begun an older one cannot end. Every
operation has the lowest edition that may take it, and a claim takes nothing above its own. Programs of edition 1
(release 0.1) do not look; a trigger of schema revision 0009 looks for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Of this program. It grows with a journal, a plan or a stored format that the program before would misread.
EDITION = 2

#: The commands of edition 1 with their fields. What any of them meant, it means still.
FIRST: Mapping[str, frozenset[str]] = {
    "cancel-operation": frozenset({"operation_id"}),
    "create-snapshot": frozenset({"exclude", "include", "labels"}),
    "delete-snapshot": frozenset({"snapshot_id"}),
    "register-service": frozenset({"alias", "configuration", "directory", "node", "region"}),
    "restore-snapshot": frozenset({"include", "mode", "snapshot_id", "target"}),
}


def edition_for(kind: str, data: Mapping[str, Any]) -> int:
    """The lowest edition that understands this command, which the present one has found valid."""
    known = kind in FIRST and FIRST[kind].issuperset(data)
    newer = "sources" in (data.get("include") or ()) or isinstance(data.get("configuration"), list)
    return 1 if known and not newer else EDITION
