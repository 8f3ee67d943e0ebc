"""Put a service back to a snapshot, on any node; the subject is the service that is changed.

    {"snapshot_id": "0192f0c1-…", "mode": "replace", "include": ["data"],
     "target": {"node": "web-2", "directory": "acme/shop-copy"}}

The tree is built and checked beside the target and then takes its place in one step, so the service has
either its old tree or the snapshot's, never a mix; the old one is kept until the outcome is durable. Sources
that are no directory are staged and checked too, and restored before that exchange. What is in them is saved first,
so that they can be put back when something fails after the first of them: not with `"safety_snapshot": false`, nor
when it refuses to be saved, because a database may be restored for the very reason that it is broken.
`target.node` moves the service to that node; `target.directory` leaves the service alone and restores a
copy. The snapshot may be of another service of the same tenant. Modes: replace, merge, refuse-non-empty.
`at`, a time such as 2026-11-20T09:00:00+01:00, stands instead of the id for the newest snapshot of the service
from then or before. `paths` restores only these and leaves everything else as it is. The profile `clone` leaves out
the files that a node's setting names as a service's identity. `dry_run` changes nothing and tells what would be
restored, updated and deleted. `verify` reads the restored tree back from the disk and compares every byte and
attribute before it goes live; if anything differs the operation fails and the old tree stays.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import pydantic

from domain import carrying, container, fallback, replacing
from domain.context import Context
from domain.course import Course
from domain.damage import DamagedSnapshot
from domain.errors import Damaged, NotFound, PathEscape, Refused
from domain.outcome import AbandonSnapshot, Change, Item, MarkSound, Outcome, SaveService
from domain.protection import left_over
from domain.replacing import SWAP, Wish
from domain.resting import wake
from domain.restore import RestoreMode, Selection, moment_of
from domain.rolling_back import restore_course
from domain.securing import secured
from domain.service import Service, relative_directory
from domain.snapshot import Snapshot, SnapshotState
from domain.standing import Use
from domain.subscription import Subscription
from domain.verification import VerifyLevel
from handlers import Id, Name, Payload


def _inside(value: str) -> str:
    try:
        return relative_directory(value)
    except PathEscape as error:
        raise ValueError(str(error)) from None


class Target(Payload):
    """Where the data goes, if not where the service is."""

    node: Name | None = None
    directory: Annotated[str, pydantic.AfterValidator(_inside)] | None = pydantic.Field(default=None, max_length=1024)


class RestoreSnapshot(Payload):
    """`include` defaults to everything that the snapshot holds."""

    snapshot_id: Id | None = None
    at: str | None = pydantic.Field(default=None, max_length=40)
    mode: Annotated[RestoreMode, pydantic.Field(strict=False)] = RestoreMode.REPLACE
    include: tuple[Literal["configuration", "data", "sources"], ...] | None = pydantic.Field(
        default=None, min_length=1, strict=False, fail_fast=True
    )
    target: Target = Target()
    paths: tuple[Annotated[str, pydantic.Field(min_length=1, max_length=4096)], ...] = pydantic.Field(
        default=(), max_length=1000, strict=False, fail_fast=True
    )
    profile: Literal["same-service", "clone"] = "same-service"
    dry_run: bool = False
    verify: bool = False
    safety_snapshot: bool = True

    @pydantic.model_validator(mode="after")
    def _meant(self) -> RestoreSnapshot:
        if (self.snapshot_id is None) == (self.at is None):
            raise ValueError("give either snapshot_id or at")
        if self.at is not None:
            moment_of(self.at)
        if self.paths and self.mode is RestoreMode.REFUSE_NON_EMPTY:
            raise ValueError("with paths everything else stays, so mode cannot be refuse-non-empty")
        if self.paths and self.target.node is not None:
            raise ValueError("with paths the service cannot move: its other files would stay behind")
        return self


def handle(command: RestoreSnapshot, context: Context) -> Outcome:
    """Stage, swap, and settle the service's record; an interrupted swap is recognised and finished."""
    course = carrying.planned(context)
    if course is not None:
        return _carried_out(context, course)
    service = context.service()
    snapshot = _snapshot(command, context)
    partial = bool(command.paths) or command.profile == "clone"
    if partial or command.dry_run:
        command = command.model_copy(update={"include": ("data",)})
    include = command.include or (("data",) if command.target.directory else snapshot.include)
    if "sources" in include and command.target.directory is not None:
        raise Refused("sources have no copy: they are restored to where they are", code="copy-of-data-only")
    if command.target.directory is not None and "configuration" in include:
        raise Refused("a copy has no configuration to restore", code="copy-of-data-only")
    if missing := [part for part in include if part not in snapshot.include]:
        raise Refused(
            f"snapshot {snapshot.snapshot_id} holds no {missing[0]}; it holds {', '.join(snapshot.include)}",
            code="not-in-snapshot",
        )
    try:
        if command.dry_run:
            return _told(command, context, service, snapshot)
        if _concerns_region(command, context, service, snapshot, include):
            if "sources" in snapshot.include and ("sources" in include) != ("data" in include):
                raise Refused(
                    "with a configuration that differs, directory and sources are restored together or not at all",
                    code="configuration-differs",
                    next_step="restore the configuration first, then the part that is wanted",
                )
            course = restore_course(
                context, snapshot.snapshot_id, data="data" in include, safety=command.safety_snapshot
            )
            context.journal.plan(course.steps(context.operation.op_id))
            return _carried_out(context, course)
        wanted = _record(command, context, service, snapshot, include)
        figures, items = replacing.replace(_wish(command, context, include), context, service, snapshot)
        items += _not_whole(snapshot) if "data" in include and not command.paths else ()
    except Damaged as error:
        return DamagedSnapshot(snapshot, error).outcome()
    changes: tuple[Change, ...] = (SaveService(wanted),) if wanted != service else ()
    # What was restored in part was read in part, and so was what the node still had.
    had = figures.get("reused", 0) + figures.get("kept", 0)
    whole = not partial and set(include) == set(snapshot.include) and not had
    replica = fallback.figures(context.journal)
    if snapshot.state is SnapshotState.CORRUPT and whole and not replica:
        changes += (MarkSound(snapshot.snapshot_id, VerifyLevel.RESTORE_TEST.value, snapshot.changed_at),)
    return Outcome.succeeded(
        f"service {service.service_id} is restored to snapshot {snapshot.snapshot_id}"
        + fallback.clause(context.journal),
        changes=changes,
        items=items,
        snapshot_id=snapshot.snapshot_id,
        **figures,
        **secured(context),
        **replica,
    )


def _carried_out(context: Context, course: Course) -> Outcome:
    try:
        outcome = carrying.carry_out(context, course)
    except DamagedSnapshot as error:
        return error.outcome()
    return dataclasses.replace(outcome, figures=outcome.figures | secured(context))


def _wish(command: RestoreSnapshot, context: Context, include: tuple[str, ...]) -> Wish:
    return Wish(
        include,
        _mode(command),
        _selection(command, context),
        command.target.directory,
        command.verify,
        command.safety_snapshot,
    )


def _not_whole(snapshot: Snapshot) -> tuple[Item, ...]:
    """What the restored tree has not, or not as it was, because the snapshot has not."""
    return tuple(
        Item(name, "not-in-snapshot", "was not stored, or was changing while it was") for name in snapshot.skipped
    )


def _snapshot(command: RestoreSnapshot, context: Context) -> Snapshot:
    """The one that is named, or that is the newest at the time; for a takeover the one that was staged."""
    if command.snapshot_id is not None:
        return context.snapshot(command.snapshot_id, Use.RESTORE)
    step = context.journal.find(SWAP)
    if step is not None:
        return context.snapshot(step.request["snapshot_id"], Use.RESTORE)
    assert command.at is not None
    found = context.catalogue.newest_at(context.operation.service_id, moment_of(command.at))
    if found is None:
        raise NotFound(
            f"service {context.operation.service_id} has no snapshot from {command.at} or before",
            code="snapshot-not-found",
            next_step="`backstay snapshots list --service <service>` shows what there is",
        )
    return context.snapshot(found.snapshot_id, Use.RESTORE)


def _selection(command: RestoreSnapshot, context: Context) -> Selection:
    if command.profile == "clone" and not context.identity_files:
        raise Refused(
            "this node does not know which files are a service's identity",
            code="no-identity-files",
            next_step="set BACKSTAY_IDENTITY_FILES on every node, or restore with the profile same-service",
        )
    return Selection(command.paths, context.identity_files if command.profile == "clone" else ())


def _mode(command: RestoreSnapshot) -> RestoreMode:
    return RestoreMode.MERGE if command.paths else command.mode


def _told(command: RestoreSnapshot, context: Context, service: Service, snapshot: Snapshot) -> Outcome:
    """What would happen, without doing it."""
    target = context.trees.resolve(command.target.directory or service.directory)
    found = context.archive.compare(
        snapshot.manifest_key, target, _mode(command), context.watch, _selection(command, context)
    )
    told = Outcome.succeeded(
        f"restoring snapshot {snapshot.snapshot_id} would restore {found.counts['restored']}, update "
        f"{found.counts['updated']} and delete {found.counts['deleted']} entries; nothing was changed",
        snapshot_id=snapshot.snapshot_id,
        dry_run=True,
    )
    items = tuple(Item(path, verdict, "") for verdict, path in found.listed)
    return dataclasses.replace(told, items=items, figures=told.figures | found.counts)


def undo(command: RestoreSnapshot, context: Context) -> None:
    """Give the old tree its place back, and the region its configuration."""
    carrying.put_back(context)
    replacing.put_back(context)


def _concerns_region(
    command: RestoreSnapshot, context: Context, service: Service, snapshot: Snapshot, include: tuple[str, ...]
) -> bool:
    """Whether the region has to be told: the snapshot's configuration is another one than the installed."""
    if "configuration" not in include or service.region is None:
        return False
    wanted = container.unpack(context.archive.read(snapshot.manifest_key).configuration or {}).document
    if wanted is None or wanted == service.document:
        return False
    if command.mode is not RestoreMode.REPLACE or command.target.node is not None:
        raise Refused(
            f"the configuration in snapshot {snapshot.snapshot_id} differs from the installed one: it is restored "
            "only together with mode replace, on the node where the service is",
            code="configuration-differs",
            next_step='restore with "include": ["data"] first, then the configuration',
        )
    return True


def _record(
    command: RestoreSnapshot, context: Context, service: Service, snapshot: Snapshot, include: tuple[str, ...]
) -> Service:
    """The service's record as it must be afterwards; the same object's equal when nothing changes."""
    if command.target.directory is not None:
        return service  # a copy leaves the service alone
    wanted = service
    if command.target.node and "data" in include:
        wanted = dataclasses.replace(wanted, node=command.target.node)
    if "configuration" in include:
        saved = context.archive.read(snapshot.manifest_key).configuration or {}
        wanted = container.applied(wanted, container.unpack(saved))
    return dataclasses.replace(wanted, generation=service.generation + 1) if wanted != service else service


def _abandon(command: RestoreSnapshot, context: Context) -> tuple[AbandonSnapshot, ...]:
    """What an unfinished safety snapshot has left in the store; the staged tree goes once the outcome is durable."""
    op_id = context.operation.op_id
    if (service := context.services.get(context.operation.service_id)) is not None:
        wake(context, "restore", service)
    context.after_settle.append(lambda: context.trees.discard(op_id))
    return left_over(context)


subscription = Subscription(
    RestoreSnapshot,
    handle,
    undo=undo,
    abandon=_abandon,
    local=lambda payload: True,
    node=lambda payload: payload.target.node,
)
