"""That data came from a replica, as the primary store's copy cannot be read: kept in the journal, told in the outcome.

Apart from restoring because directories, sources and steps of sagas all read snapshots, and a damaged primary must
not be passed over in silence by any of them.
"""

from __future__ import annotations

from typing import Any

from domain.journal import Journal
from domain.restore import Staged


def noted(staged: Staged) -> dict[str, str]:
    """What a journalled step remembers of it; nothing when the primary was read."""
    return {"read_from": staged.read_from, "primary_fault": staged.fault} if staged.read_from else {}


def figures(journal: Journal) -> dict[str, Any]:
    """The replica, and what was wrong with the primary, of the first step that read one."""
    for step in journal.steps():
        said = step.request | step.reply
        if said.get("read_from"):
            return {"read_from": said["read_from"], "primary_fault": said.get("primary_fault", "")}
    return {}


def clause(journal: Journal) -> str:
    """The end of an outcome's sentence; empty when the primary was read."""
    found = figures(journal)
    return f", from replica {found['read_from']}: in the primary store it cannot be read" if found else ""
