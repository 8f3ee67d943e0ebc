"""Rewrite the packs of a service of which its snapshots need little, so that deleting wins its space.

    {"below_percent": 50}

With `dry_run` it only says how many bytes would be won. The snapshots stay what they are: same ids, same contents,
same root digests; the old packs go once those who read them have had their time. A worker that takes over uses the
packs that are written already. One operation rewrites at most 256 packs.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from domain.context import Context
from domain.errors import Damaged, KeyUnavailable
from domain.operation import StepState
from domain.outcome import DiscardPacks, Outcome, SetPacks
from domain.repacking import MOST_PACKS, SparsePack, Uses
from domain.snapshot import Snapshot, SnapshotState
from domain.subscription import Subscription
from handlers import Payload

STEP = "repack"
_PAGE = 1000


class RepackService(Payload):
    """Packs that are needed to less than `below_percent` are rewritten."""

    below_percent: Annotated[int, pydantic.Field(ge=1, le=99)] = 50
    dry_run: bool = False


def handle(command: RepackService, context: Context) -> Outcome:
    """Choose and write down; new packs; count them; manifests; let the old ones go."""
    service = context.service()
    step = context.journal.find(STEP)
    if step is None:
        chosen, snapshots = _look(command, context)
        won, total = sum(pack.waste for pack in chosen), len(chosen)
        if command.dry_run or not chosen:
            return Outcome.succeeded(
                f"repacking {total} packs of service {service.service_id} would win {won} bytes; nothing was changed",
                packs=total,
                bytes_won=won,
                dry_run=command.dry_run,
            )
        chosen = chosen[:MOST_PACKS]
        request = {
            "packs": [pack.key for pack in chosen],
            "snapshots": snapshots,
            "bytes_won": sum(pack.waste for pack in chosen),
            "left": total - len(chosen),
        }
        step = context.journal.begin(STEP, request)
    if step.state is not StepState.DONE:
        keys = [key for _, key in step.request["snapshots"]]
        made = context.archive.rewrite(keys, step.request["packs"], context.operation.op_id, context.watch)
        # Counted before a manifest names them; the old ones are counted still, whoever dies now.
        counted = tuple(SetPacks(name, made.written, replace=False) for name, _ in step.request["snapshots"])
        reply = {"written": list(made.written), "moved": list(made.moved)}
        step = context.journal.end(step, reply=reply, changes=counted)
    moved, written = step.reply["moved"], step.reply["written"]
    changes = tuple(
        SetPacks(name, context.archive.replace_packs(key, moved, written, context.watch), replace=True)
        for name, key in step.request["snapshots"]
    )
    return Outcome.succeeded(
        f"{len(moved)} packs of service {service.service_id} are rewritten as {len(written)}; "
        f"{step.request['left']} are left for another time",
        changes=(*changes, _left_overs(context)),
        packs=len(moved),
        bytes_won=step.request["bytes_won"],
        left=step.request["left"],
        dry_run=False,
    )


def _look(command: RepackService, context: Context) -> tuple[list[SparsePack], list[tuple[str, str]]]:
    """The sparse packs, and id and manifest key of each snapshot that names one."""
    uses, unknown = Uses(), set[str]()
    naming: list[tuple[Snapshot, tuple[str, ...]]] = []
    before = None
    operation = context.operation
    while page := context.catalogue.find(operation.tenant_id, [operation.service_id], (), _PAGE, before):
        before = page[-1].snapshot_id
        for row in page:
            context.watch.check()
            try:
                # A corrupt one is copied nowhere, so that what replaces its packs would never come to a replica.
                if row.state is not SnapshotState.CORRUPT:
                    naming.append((row, uses.add(context.archive.pack_uses(row.manifest_key))))
                    continue
            except (Damaged, KeyUnavailable):
                pass  # as if it were corrupt
            whole = context.catalogue.get(row.snapshot_id)
            unknown |= set(whole.packs) if whole else set()
    chosen = uses.sparse(unknown, command.below_percent)
    keys = {pack.key for pack in chosen}
    return chosen, [(row.snapshot_id, row.manifest_key) for row, packs in naming if not keys.isdisjoint(packs)]


def _left_overs(context: Context) -> DiscardPacks:
    """Packs of attempts that died before they were counted."""
    return DiscardPacks(context.archive.pack_prefix(context.operation.tenant_id, context.operation.op_id))


def _abandon(command: RepackService, context: Context) -> tuple[DiscardPacks]:
    return (_left_overs(context),)


subscription = Subscription(RepackService, handle, abandon=_abandon)
