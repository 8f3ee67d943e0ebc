"""Whose turn it is when more is ready than can be begun: tenants take turns, and within a tenant the kinds of commands.

Apart from the question of what is ready because this remembers: which tenant, and which kind of it, was served last.
A tenant that publishes a hundred thousand commands so holds up another one's by one operation for each free slot, and
a snapshot of every service holds up no rollback. Within one kind of one tenant the oldest comes first.

What is remembered is this process's own and decides nothing but order: losing it costs a turn.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, Row

from storage.sql.ready import LANES, READY

#: Turns that are remembered; who has had none for longest is forgotten first, and would come first anyway.
REMEMBERED = 4096
#: Milliseconds after which it is looked anew who waits, even if not everybody has had his turn.
ROUND_MS = 1000

Lane: TypeAlias = tuple[str, str]  # tenant and kind


class Turns:
    """The order of one process's claims. Safe to share between threads."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._numbers = itertools.count(1)
        self._last: dict[tuple[str, str], int] = {}  # (tenant, kind), and (tenant, "") for the tenant
        self._round: dict[str, tuple[int, deque[Lane]]] = {}  # node -> when it began, and who has yet to come

    def next(
        self, connection: Connection, node: str, limit: int, now: int, without: Collection[str] = ()
    ) -> list[Row[Any]]:
        """Ready operations bound to `node`, at most `limit`, none of the kinds `without`: one of each lane, then the
        second ones, and so on. They are locked until the transaction ends, some more than are returned among them."""
        asked = {"node": node, "now": now, "most": limit}
        chosen, lanes = _ready_of(connection, asked, self._rest_of_round(node, limit, now, without))
        if len(chosen) == limit:
            self._serve(lanes)
            return chosen
        waiting = [row for row in connection.execute(LANES, asked) if row.first is not None and row.kind not in without]
        waiters = self._ordered([(row.tenant, row.kind, row.first) for row in waiting])
        once = {tenant: (tenant, kind) for tenant, kind in reversed(waiters)}  # each tenant's next kind
        with self._mutex:
            self._round[node] = (now, deque(lane for lane in waiters[limit:] if once[lane[0]] == lane))
        chosen, lanes = _ready_of(connection, asked, waiters[:limit])
        self._serve(lanes)
        return chosen

    def _rest_of_round(self, node: str, limit: int, now: int, without: Collection[str]) -> list[Lane]:
        """Who comes next in a round that has begun: with a thousand tenants, looking who waits is the dear part."""
        with self._mutex:
            began, lanes = self._round.get(node, (0, deque()))
            if not 0 <= now - began < ROUND_MS or len(lanes) < limit:
                return []
            return [lane for lane in (lanes.popleft() for _ in range(limit)) if lane[1] not in without]

    def _ordered(self, waiting: list[tuple[str, str, int]]) -> list[Lane]:
        """Every tenant's next kind, who was served longest ago first; then every tenant's second, and so on."""
        with self._mutex:
            last = self._last.get
            kinds = sorted(waiting, key=lambda lane: (last(lane[:2], 0), lane[2]))
            seen: dict[str, int] = {}
            ranked = []
            for tenant, kind, first in kinds:
                seen[tenant] = seen.get(tenant, 0) + 1
                ranked.append((seen[tenant], last((tenant, ""), 0), first, tenant, kind))
        return [(tenant, kind) for *_, tenant, kind in sorted(ranked)]

    def _serve(self, lanes: Iterable[Lane]) -> None:
        with self._mutex:
            for tenant, kind in lanes:
                for served in ((tenant, kind), (tenant, "")):
                    self._last.pop(served, None)
                    self._last[served] = next(self._numbers)
            while len(self._last) > REMEMBERED:
                del self._last[next(iter(self._last))]


def _ready_of(connection: Connection, asked: dict[str, Any], lanes: list[Lane]) -> tuple[list[Row[Any]], list[Lane]]:
    """The first ready operation of each lane, then the second ones, as many as are asked for; and whose they are. No
    lane is asked for more than its share unless others have less: what is locked and not taken is hidden from the
    other nodes, which would find nothing and rest."""

    def ready(lane: Lane, most: int) -> Sequence[Row[Any]]:
        return connection.execute(READY, asked | {"tenant": lane[0], "kind": lane[1], "most": most}).all()

    most = asked["most"]
    share = -(-most // max(1, len(lanes)))
    found = [ready(lane, share) for lane in lanes]
    if share < most and sum(map(len, found)) < most:
        found = [ready(lane, most) if len(rows) == share else rows for lane, rows in zip(lanes, found, strict=True)]
    rounds = itertools.chain.from_iterable(itertools.zip_longest(*found))
    chosen = [row for row in rounds if row is not None][:most]
    return chosen, [lane for lane, rows in zip(lanes, found, strict=True) if rows and rows[0] in chosen]
