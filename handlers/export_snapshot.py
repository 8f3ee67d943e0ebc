"""Make a plain `.tar.zst` of a snapshot's data, for download; any tar restores it.

    {"snapshot_id": "0192f0c1-…", "keep_seconds": 86400}

The archive lies in the store until its time is over; exporting again meanwhile answers with the same one, and keeps
it longer if `keep_seconds` reaches further.
`backstay snapshots link` gives an address for it. The configuration is never part of it.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import pydantic

from domain.context import Context
from domain.errors import Damaged, WrongTenant
from domain.outcome import AbandonExport, Change, ExtendExport, Item, MarkCorrupt, Outcome, SaveExport
from domain.snapshot import Export
from domain.standing import Use
from domain.subscription import Subscription
from handlers import Id, Payload

#: An archive that would vanish sooner is made again.
LEAST_LEFT_MS = 3_600_000


class ExportSnapshot(Payload):
    """`keep_seconds`: how long the archive can be fetched, from an hour to thirty days."""

    snapshot_id: Id
    keep_seconds: Annotated[int, pydantic.Field(ge=3600, le=30 * 86_400)] = 86_400


def handle(command: ExportSnapshot, context: Context) -> Outcome:
    """Answer with the archive that is there, or make one."""
    snapshot = context.snapshot(command.snapshot_id, Use.EXPORT)
    if snapshot.service_id != context.operation.service_id:
        raise WrongTenant(f"snapshot {snapshot.snapshot_id} does not belong to the subject of this message")
    found, key = context.catalogue.export_of(snapshot.snapshot_id), _key(context)
    lasts = found is not None and found.expires_at > context.now_ms() + LEAST_LEFT_MS
    if found is not None and lasts and context.archive.has_export(found.object_key):
        return _again(found, key, context.now_ms() + command.keep_seconds * 1000)
    try:
        exported = context.archive.export(snapshot.manifest_key, key, context.watch)
    except Damaged as error:
        marked = MarkCorrupt(snapshot.snapshot_id, str(error))
        return dataclasses.replace(Outcome.failed(error), changes=(marked,))
    expires_at = context.now_ms() + command.keep_seconds * 1000
    made = Export(snapshot.snapshot_id, snapshot.tenant_id, key, exported.bytes, exported.sha256, expires_at)
    items = tuple(
        Item(path, "attribute-left-out", "has an extended attribute whose name a tar archive cannot carry")
        for path in exported.left_out
    )
    return dataclasses.replace(_ready(made, made=True), items=items, complete=not items)


def _again(found: Export, key: str, expires_at: int) -> Outcome:
    """The archive that is there, for at least so long."""
    changes: list[Change] = []
    if expires_at > found.expires_at:
        found = dataclasses.replace(found, expires_at=expires_at)
        changes.append(ExtendExport(found.snapshot_id, found.object_key, expires_at))
    if found.object_key != key:
        changes.append(AbandonExport(key))  # what an attempt before this one may have stored is nobody's
    return dataclasses.replace(_ready(found, made=False), changes=tuple(changes))


def _ready(export: Export, *, made: bool) -> Outcome:
    return Outcome.succeeded(
        f"snapshot {export.snapshot_id} is exported as an archive of {export.bytes} bytes",
        changes=(SaveExport(export),) if made else (),
        snapshot_id=export.snapshot_id,
        bytes=export.bytes,
        sha256=export.sha256,
        expires_at=export.expires_at,
        made=made,
    )


def _key(context: Context) -> str:
    """The operation's own, so that a repeat replaces what an attempt before it has left."""
    operation = context.operation
    return context.archive.export_key(operation.tenant_id, operation.op_id)


def abandon(command: ExportSnapshot, context: Context) -> tuple[AbandonExport, ...]:
    """What a failed or cancelled attempt may have left in the store, for the collector."""
    return (AbandonExport(_key(context)),)


subscription = Subscription(ExportSnapshot, handle, abandon=abandon, exclusive=False)
