"""What needs a person: operations that are stuck, dead letters, nodes that are away; as far as a caller may know.

Apart from the pages about each because the frame counts them and the first page lists them. All of it is bounded: a
badge that says that there are many is as good as one that counts them.
"""

from __future__ import annotations

from domain.contracts import DeadLetter
from domain.letters import LetterFilter
from domain.node import NodeSeen
from domain.operation import Operation, State
from domain.recovery_point import RecoveryPoint
from workers.web.access import Action, Caller
from workers.web.desk import Desk

#: Beyond so many it is only said that there are more.
MOST = 100


def stuck(here: Desk, tenant: str | None) -> list[Operation]:
    """Operations that could not be put back."""
    return here.database.list_operations(tenant_id=tenant, states=[State.STUCK], limit=MOST)


def letters(here: Desk, tenant: str | None, limit: int = MOST) -> list[DeadLetter]:
    """Dead letters that nobody has resolved, newest first."""
    wanted = LetterFilter(tenant_id=tenant)
    return here.database.dead_letters.list(resolved=False, limit=limit, before=None, wanted=wanted)


def away(here: Desk, who: Caller) -> list[NodeSeen] | None:
    """Nodes that have not been seen for long; None for whoever may not know."""
    return [one for one in here.database.nodes.list() if one.away] if who.may(Action.NODES_READ, None) else None


def late(here: Desk, tenant: str | None) -> list[RecoveryPoint]:
    """Services whose newest good snapshot is older than was asked for."""
    return here.database.recovery_points.page(None if tenant is None else [tenant], MOST, missed=True)
