"""Make a snapshot of a tar archive that somebody else has made: one, or a chain of GNU tar's incremental ones.

    {"place": "old-backups", "keys": ["shop/full.tar.zst", "shop/monday.tar.zst"], "strip": 1,
     "taken_at": "2026-11-16T03:00:00+01:00", "labels": ["reason:imported"]}

The archives (plain, zstd or gzip) are read where they lie, in that order, and nothing is unpacked to disk. `place` is a
folder or bucket of the node's configuration that is open to the tenant. A snapshot like any other comes of it: it can
be restored, compared, exported and verified. An archive with names that lead outside, links to be written through, or
sizes that lie is refused as a whole; devices, sockets and FIFOs are left out and named.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

import pydantic

from domain.context import Context
from domain.contracts import SnapshotRequest
from domain.errors import Damaged, Refused
from domain.outcome import AddSnapshot, Outcome
from domain.protection import catalogue_row
from domain.restore import moment_of
from domain.snapshot import Label
from domain.subscription import Subscription
from handlers import Name, Payload
from handlers.create_snapshot import LabelText, abandon, items_of

Key = Annotated[str, pydantic.Field(min_length=1, max_length=1024)]


class ImportSnapshot(Payload):
    """`strip`: so many leading components of names are dropped. `taken_at`: when the data was as it is."""

    place: Name
    keys: tuple[Key, ...] = pydantic.Field(min_length=1, max_length=1000, strict=False, fail_fast=True)
    labels: tuple[LabelText, ...] = pydantic.Field(default=(), max_length=64, strict=False, fail_fast=True)
    strip: int = pydantic.Field(default=0, ge=0, le=64)
    taken_at: str | None = pydantic.Field(default=None, max_length=40)

    @pydantic.field_validator("taken_at")
    @classmethod
    def _moment(cls, text: str | None) -> str | None:
        if text is not None:
            moment_of(text)
        return text


def handle(command: ImportSnapshot, context: Context) -> Outcome:
    """Read the archives, store what is new, publish the manifest, put it in the catalogue."""
    service, operation = context.service(), context.operation
    taken_at = context.now_ms() if command.taken_at is None else moment_of(command.taken_at)
    if taken_at > context.now_ms():
        raise Refused("taken_at lies in the future", code="invalid")
    request = SnapshotRequest(
        snapshot_id=operation.op_id,
        tenant_id=operation.tenant_id,
        service_id=operation.service_id,
        directory=None,
        configuration=None,
        labels=tuple(Label.parse(text) for text in command.labels),
        parent=context.catalogue.parent(service.service_id),
        taken_at=taken_at,
    )
    chain = [partial(context.places.open, command.place, key, operation.tenant_id) for key in command.keys]
    try:
        summary = context.archive.import_tar(request, chain, command.strip, context.watch)
    except Damaged as error:
        if error.code != "archive-damaged":
            raise
        raise Refused(str(error), code=error.code, next_step=error.next_step) from error
    snapshot = catalogue_row(summary, request.labels)
    # What a later archive has replaced was stored and is needed by nobody.
    leftovers = context.archive.pack_prefix(operation.tenant_id, operation.op_id)
    return Outcome.succeeded(
        f"snapshot {snapshot.snapshot_id} of service {service.service_id} is imported and available",
        changes=(AddSnapshot(snapshot, leftovers),),
        items=items_of(summary),
        snapshot_id=snapshot.snapshot_id,
        files=summary.files,
        logical_bytes=summary.logical_bytes,
        stored_bytes=summary.stored_bytes,
        root_digest=summary.root_digest,
    )


subscription = Subscription(ImportSnapshot, handle, abandon=abandon)
