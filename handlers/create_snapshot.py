"""Take a snapshot of a service: its configuration, its directory, its other sources of data, or all of them.

    {"labels": ["owner:42", "reason:nightly"], "include": ["configuration", "data", "sources"],
     "exclude": ["*.log", "cache/"]}

Succeeds only when every pack was found in the store with its size, and the manifest read back; `verify-snapshot`
reads all of it. The snapshot's id is the operation's id.
Files that kept changing while they were read are named in the outcome, which is then not complete.
"""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated, Literal

import pydantic

from domain import container
from domain.context import Context
from domain.contracts import SnapshotRequest
from domain.errors import InvalidMessage, Refused
from domain.outcome import AbandonSnapshot, AddSnapshot, Item, Outcome
from domain.protection import catalogue_row, live_directory
from domain.resting import resting, wake
from domain.restore import ManifestSummary
from domain.snapshot import Label
from domain.subscription import Subscription
from handlers import Payload

#: An outcome names at most this many files; the manifest has them all.
MOST_ITEMS = 100


def _label(text: str) -> str:
    try:
        return str(Label.parse(text))
    except InvalidMessage as error:
        raise ValueError(str(error)) from None


LabelText = Annotated[str, pydantic.AfterValidator(_label)]


class CreateSnapshot(Payload):
    """`exclude` holds gitignore-like patterns, relative to the service's directory."""

    labels: tuple[LabelText, ...] = pydantic.Field(default=(), max_length=64, strict=False, fail_fast=True)
    include: tuple[Literal["configuration", "data", "sources"], ...] = pydantic.Field(
        default=("configuration", "data", "sources"), min_length=1, strict=False, fail_fast=True
    )
    exclude: tuple[Annotated[str, pydantic.Field(min_length=1, max_length=1024)], ...] = pydantic.Field(
        default=(), max_length=256, strict=False, fail_fast=True
    )


def handle(command: CreateSnapshot, context: Context) -> Outcome:
    """Store what is new since the newest snapshot, publish the manifest, put it in the catalogue."""
    service = context.service()
    operation = context.operation
    sources = context.sources.of(service, service.sources) if "sources" in command.include else ()
    if command.include == ("sources",) and not sources:
        raise Refused(
            f"service {service.service_id} has no sources",
            code="no-sources",
            next_step="register it with the names of its sources, or include its data",
        )
    reads = "data" in command.include or bool(sources)
    packed = container.pack(service, service.document) if "configuration" in command.include else None
    request = SnapshotRequest(
        snapshot_id=operation.op_id,
        tenant_id=operation.tenant_id,
        service_id=operation.service_id,
        directory=live_directory(service, context) if "data" in command.include else None,
        configuration=packed,
        labels=tuple(Label.parse(text) for text in command.labels),
        exclude=command.exclude,
        parent=context.catalogue.parent(service.service_id, "data" if "data" in command.include else "sources"),
        sources=sources,
    )
    rest: AbstractContextManager[list[Item]] = resting(context, "snapshot", service) if reads else nullcontext([])
    with rest as troubles:
        # Whoever asks for a time before a change must not get what was read after it: the hook may have taken long.
        summary = context.archive.create(dataclasses.replace(request, taken_at=context.now_ms()), context.watch)
    snapshot = catalogue_row(summary, request.labels)
    leftovers = context.archive.pack_prefix(operation.tenant_id, operation.op_id) if context.retried else None
    return Outcome.succeeded(
        f"snapshot {snapshot.snapshot_id} of service {service.service_id} is available",
        changes=(AddSnapshot(snapshot, leftovers),),
        items=tuple(troubles) + items_of(summary, container.omitted(packed)),
        snapshot_id=snapshot.snapshot_id,
        files=summary.files,
        logical_bytes=summary.logical_bytes,
        stored_bytes=summary.stored_bytes,
        root_digest=summary.root_digest,
        **({"sockets_left_out": len(summary.sockets)} if summary.sockets else {}),
    )


def abandon(command: Payload, context: Context) -> tuple[AbandonSnapshot, ...]:
    """What a failed or cancelled attempt leaves in the store, for the collector."""
    operation = context.operation
    if (service := context.services.get(operation.service_id)) is not None:
        wake(context, "snapshot", service)
    return (
        AbandonSnapshot(
            context.archive.manifest_key(operation.tenant_id, operation.service_id, operation.op_id),
            context.archive.pack_prefix(operation.tenant_id, operation.op_id),
        ),
    )


def items_of(summary: ManifestSummary, omitted: tuple[str, ...] = ()) -> tuple[Item, ...]:
    """What the snapshot does not hold as it was, as far as it is named."""
    unstable = [Item(name, "changed-while-read", "kept changing while it was read") for name in summary.unstable]
    skipped = [Item(name, "not-stored", "could not be read or is not a file") for name in summary.skipped]
    unsaid = [Item(name, "not-saved", "has no form in JSON") for name in omitted]
    return tuple((unsaid + unstable + skipped)[:MOST_ITEMS])


subscription = Subscription(CreateSnapshot, handle, abandon=abandon, local=lambda payload: True)
