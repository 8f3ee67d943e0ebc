"""What is looked at before a service is repacked: in memory that does not grow with its history."""

from __future__ import annotations

import tracemalloc
from types import SimpleNamespace
from typing import Any, cast

import pytest

from domain.context import Context
from domain.errors import Damaged
from domain.operation import State
from domain.repacking import PackUse
from domain.snapshot import SnapshotState
from handlers.repack_service import RepackService, handle

MIB = 1 << 20
PACKS, SNAPSHOTS = 200, 40


def _pack(number: int) -> str:
    return f"tenants/acme/packs/0192f0c1-0000-7000-8000-{number:012x}/{number:032x}"


class History:
    """A catalogue and an archive of one service: each snapshot needs every pack, half of it, but for what `needs` says
    otherwise."""

    def __init__(self, snapshots: int, needs: dict[tuple[int, int], int] | None = None, damaged: int = -1) -> None:
        self._rows = [
            SimpleNamespace(
                snapshot_id=f"s{n:04}",
                manifest_key=str(n),
                state=SnapshotState.AVAILABLE,
                packs=tuple(map(_pack, range(PACKS))),
            )
            for n in range(snapshots)
        ]
        self._needs, self._damaged = needs or {}, damaged

    def find(self, tenant: str, services: Any, labels: Any, limit: int, before: str | None) -> list[SimpleNamespace]:
        return [row for row in reversed(self._rows) if before is None or row.snapshot_id < before][:limit]

    def get(self, snapshot_id: str) -> SimpleNamespace:
        return self._rows[int(snapshot_id[1:])]

    def pack_uses(self, manifest_key: str) -> dict[str, PackUse]:
        """New strings and numbers each time, as from a manifest."""
        if int(manifest_key) == self._damaged:
            raise Damaged("the manifest is short")
        found = {}
        for pack in range(PACKS):
            stored = self._needs.get((int(manifest_key), pack), 2 * MIB)
            found[_pack(pack)] = PackUse(16 * MIB, {8 + i * 4 * MIB: stored for i in range(4) if stored})
        return found


def _told(history: History, below_percent: int) -> dict[str, Any]:
    context = SimpleNamespace(
        service=lambda: SimpleNamespace(service_id="web"),
        journal=SimpleNamespace(find=lambda _: None),
        operation=SimpleNamespace(tenant_id="acme", service_id="web"),
        watch=SimpleNamespace(check=lambda: None),
        catalogue=history,
        archive=history,
    )
    outcome = handle(RepackService(below_percent=below_percent, dry_run=True), cast(Context, context))
    assert outcome.state is State.SUCCEEDED
    return dict(outcome.figures)


def test_a_history_costs_no_more_memory_than_the_packs_that_it_shares() -> None:
    """A year of daily snapshots of 100 GiB took 1.5 GiB."""
    history = History(SNAPSHOTS)
    tracemalloc.start()
    try:
        told = _told(history, 60)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert told["packs"] == PACKS
    assert peak < 2 * MIB


def test_what_any_snapshot_needs_is_counted_once() -> None:
    """Both need the same of one pack, and nothing of the others."""
    needs = {(number, pack): 0 for number in range(2) for pack in range(PACKS)}
    needs[0, 0] = needs[1, 0] = MIB
    told = _told(History(2, needs), 50)

    assert told["packs"] == PACKS
    assert told["bytes_won"] == PACKS * (16 * MIB - 4096) - 4 * MIB


@pytest.mark.parametrize(("damaged", "packs"), [(-1, PACKS), (0, 0)])
def test_what_an_unreadable_snapshot_names_is_left_alone(damaged: int, packs: int) -> None:
    assert _told(History(2, damaged=damaged), 60)["packs"] == packs
