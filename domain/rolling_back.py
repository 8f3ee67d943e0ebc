"""From a wish to roll back to a course: which upgrade, which of its services, to which snapshots.

The way back leads to the snapshot that the upgrade took itself, never to "the newest": a later attempt that
failed may have taken another one since. Everything that can make it impossible is found before the first effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain import container
from domain.changeset import Effect
from domain.configuration import Configuration
from domain.context import Context
from domain.course import Course, Health, Task
from domain.damage import reading
from domain.data import snapshot_with_data
from domain.errors import NotFound, Refused, WrongTenant
from domain.identity import derived_id
from domain.planning import effect_of, plan_exact
from domain.service import Service
from domain.standing import Use
from domain.upgrade_record import Status, UpgradeRecord
from domain.upgrading import configuration_of, facts_of, place_of

#: A service, the snapshot it goes to, and the upgrade that this undoes.
Aim = tuple[Service, str, str | None]


@dataclass(frozen=True, slots=True)
class Retreat:
    """What a `rollback` asks for."""

    upgrade: str | None = None
    snapshot_id: str | None = None
    services: tuple[str, ...] | None = None
    data: bool = False
    safety_snapshot: bool = True
    hold: bool = True
    reason: str = ""
    strict: bool = False
    whole: bool = False
    deploy_seconds: float = 1800.0
    health: Health = field(default_factory=Health)
    restores: bool = False  # a restore-snapshot asks


def rollback_course(context: Context, retreat: Retreat) -> Course:
    """Reserve the services and plan; Refused or NotFound say why there is nothing to carry out."""
    if retreat.snapshot_id is not None:
        aims: list[Aim] = [(context.service(), retreat.snapshot_id, None)]
        gone: list[str] = []
        others: list[str] = []
    else:
        records = _records(context, retreat)
        aims, gone, others = _aims(context, retreat, records)
    if len(aims) > 1:
        context.journal.reserve([service.service_id for service, _, _ in aims])
        aims = [(context.service(service.service_id), snapshot, upgrade) for service, snapshot, upgrade in aims]
    tasks = tuple(_task(context, retreat, *aim) for aim in aims)
    return Course(
        "rollback",
        tasks,
        strict=retreat.strict,
        whole=retreat.whole,
        deploy_seconds=retreat.deploy_seconds,
        health=retreat.health,
        extra={"gone": gone, "other_statuses": others, "hold": retreat.hold, "reason": retreat.reason},
    )


def restore_course(context: Context, snapshot_id: str, *, data: bool, safety: bool) -> Course:
    """The same way to a snapshot that somebody wants restored: no record, no hold, and of what is replaced only the
    sources are saved, with `safety`."""
    retreat = Retreat(snapshot_id=snapshot_id, data=data, safety_snapshot=False, restores=True)
    task = _task(context, retreat, context.service(), snapshot_id, None)
    return Course("restore", (task,), extra={"safety": safety})


def _records(context: Context, retreat: Retreat) -> list[UpgradeRecord]:
    """The records of the upgrade that is to be undone, of this tenant and including the subject."""
    subject = context.service()
    upgrade = retreat.upgrade
    if upgrade is None:
        newest = last_success(context, subject.service_id)
        if newest is None:
            raise Refused(
                f"service {subject.service_id} has no upgrade that could be rolled back",
                code="nothing-to-roll-back",
                next_step='name a snapshot with "snapshot_id", or restore one',
            )
        upgrade = newest.op_id
    records = context.records.of(upgrade)
    if any(record.tenant_id != subject.tenant_id for record in records):
        raise WrongTenant(f"upgrade {upgrade} does not belong to tenant {subject.tenant_id}")
    if not any(record.service_id == subject.service_id for record in records):
        raise NotFound(f"upgrade {upgrade} did not change service {subject.service_id}", code="unknown-upgrade")
    return records


def last_success(context: Context, service_id: str) -> UpgradeRecord | None:
    """The newest upgrade that holds and was not rolled back; by the order of fences, never by a clock."""
    for record in context.records.history(service_id, "upgrade"):
        if record.status is Status.UPGRADED and record.snapshot_id and not _undone(context, record):
            return record
    return None


def _undone(context: Context, record: UpgradeRecord) -> bool:
    rollbacks = context.records.history(record.service_id, "rollback")
    return any(found.parent_id == record.op_id and found.status is Status.ROLLBACK for found in rollbacks)


def _aims(
    context: Context, retreat: Retreat, records: Sequence[UpgradeRecord]
) -> tuple[list[Aim], list[str], list[str]]:
    """(service, snapshot, upgrade) of what can go back; ids of services that are gone; statuses of the rest."""
    if retreat.services is not None and (unknown := set(retreat.services) - {record.service_id for record in records}):
        raise NotFound(f"the upgrade did not change service {sorted(unknown)[0]}", code="unknown-service")
    aims: list[Aim] = []
    gone, others = [], []
    for record in records:
        selected = retreat.services is None or record.service_id in retreat.services
        if not selected or record.status is not Status.UPGRADED or not record.snapshot_id or _undone(context, record):
            others.append(Status.ROLLBACK if _undone(context, record) else record.status)
        elif context.services.get(record.service_id) is None:
            gone.append(record.service_id)
        else:
            aims.append((context.service(record.service_id), record.snapshot_id, record.op_id))
    if not aims:
        raise Refused(
            "no service of this upgrade can be rolled back: "
            + (
                f"{', '.join(gone)} is no longer registered"
                if gone
                else "none was changed by it, or all are back already"
            ),
            code="nothing-to-roll-back",
        )
    return aims, gone, [status.name for status in others]


def _task(context: Context, retreat: Retreat, service: Service, snapshot_id: str, upgrade: str | None) -> Task:
    place = place_of(service)
    wanted = _configuration(context, service, snapshot_id, _use(retreat))
    current = configuration_of(service)
    plan = plan_exact(service.service_id, current, wanted, facts_of(context, service, {}, delete=True))
    if retreat.data:
        snapshot_with_data(context, snapshot_id, service.service_id, _use(retreat))
        if service.node not in (None, context.node):
            raise Refused(
                f"the directory of service {service.service_id} is on node {service.node}, not on {context.node}",
                code="data-elsewhere",
                next_step="roll the services of each node back by themselves, or without data",
            )
    effect = max(effect_of(plan), Effect.UPDATE if retreat.data else Effect.NOTHING)
    changed = bool(plan.changes) or retreat.data
    protect = derived_id(context.operation.op_id, f"protect/{service.service_id}")
    return Task(
        plan=plan,
        place=place,
        effect=effect,
        protect=protect if changed and retreat.safety_snapshot else None,
        protect_data=retreat.data,
        restore_data=snapshot_id if retreat.data else None,
        snapshot_id=snapshot_id,
        parent_id=upgrade,
        old_version=str(current.origin.get("version") or ""),
        new_version=str(wanted.origin.get("version") or ""),
    )


def _use(retreat: Retreat) -> Use:
    if retreat.restores:
        return Use.RESTORE
    return Use.ROLL_BACK_DATA if retreat.data else Use.ROLL_BACK


def _configuration(context: Context, service: Service, snapshot_id: str, use: Use) -> Configuration:
    """The configuration that the snapshot holds, checked before anything is changed."""
    snapshot = context.snapshot(snapshot_id, use)
    if snapshot.service_id != service.service_id:
        raise Refused(
            f"snapshot {snapshot_id} is of service {snapshot.service_id}, not of {service.service_id}",
            code="snapshot-of-another-service",
        )
    with reading(snapshot):
        found = context.archive.read(snapshot.manifest_key).configuration
    document = None if found is None else container.unpack(found).document
    if document is None:
        raise Refused(f"snapshot {snapshot_id} holds no configuration", code="not-in-snapshot")
    return configuration_of(
        Service(service.service_id, service.tenant_id, service.alias, service.directory, document=document)
    )
