"""Carrying a course out, and putting it back: the two sequences that upgrade, rollback and restore share.

Apart from the parts they are made of, so that the order of things can be read on one page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from domain import data, fallback
from domain.bringing import begun, bring_sources, refuse_to_take_back
from domain.changeset import Effect
from domain.compensation import Compensation
from domain.context import Context
from domain.course import Course, Task
from domain.damage import reading
from domain.operation import Operation, State, Step, StepState
from domain.outcome import Change, HoldVersion, Item, Outcome, SaveRecord, SaveService
from domain.protection import left_over, protect
from domain.resting import wake
from domain.rollout import Rollout
from domain.saga import Saga, StepRefused
from domain.securing import give_back, stage_and_secure
from domain.service import Service
from domain.snapshot import Snapshot
from domain.standing import Use
from domain.upgrade_record import Status, UpgradeRecord, group_status

GOOD = {"upgrade": Status.UPGRADED, "rollback": Status.ROLLBACK}
BAD = {"upgrade": Status.UPGRADE_FAILED, "rollback": Status.ROLLBACK_FAILED}
#: Codes of failures of the deployment itself, which the record tells from those of the configuration.
DEPLOYMENT = frozenset({"deploy-refused", "region-quota"})


def planned(context: Context) -> Course | None:
    """The course that an earlier attempt, or this one, has written down."""
    step = next(iter(context.journal.steps("plan")), None)
    return None if step is None else Course.load(step.request)


def carry_out(context: Context, course: Course) -> Outcome:
    """Everything, in order; continues what an earlier attempt has begun. The outcome is not settled yet. Raises
    DamagedSnapshot when what is brought back is not what was written."""
    for task in course.tasks:
        context.region.longest_call(task.place)  # refuses, before any effect, a region that this node does not know
    saga = Saga(context, course)
    try:
        if course.purpose == "restore":
            _secure_sources(context, course)
        else:
            protect(context, course)
        saga.change_items()
        _bring_data(context, course, saga)
        _deploy(saga)
        saga.dialogue.settle(course.places(saga.touched_services()), unsettled=saga.unsettled())
    except StepRefused as refused:
        lost = tuple(saga.overwritten())
        return replace(Outcome.failed(refused), figures={"evidence": refused.evidence}, items=lost)
    return _succeeded(saga)


def put_back(context: Context) -> None:
    """Undo whatever the journal says was touched; idempotent, and complete when it returns."""
    course = planned(context)
    if course is None:
        return
    saga = Saga(context, course)
    _put_back(saga, {task.service_id for task in course.tasks})


def _bring_data(context: Context, course: Course, saga: Saga) -> None:
    for step in context.journal.steps("data"):
        if step.request["service"] in saga.given_up:
            continue
        context.watch.check()
        service, snapshot = _wanted(context, step)
        with reading(snapshot):
            data.bring(context, step, service, snapshot)


def _secure_sources(context: Context, course: Course) -> None:
    """A restore has no protecting snapshot; what it replaces in sources is saved before anything is changed."""
    for step in context.journal.steps("data"):
        if step.state not in (StepState.DONE, StepState.UNDONE):
            service, snapshot = _wanted(context, step)
            if "sources" in snapshot.include:
                with reading(snapshot):
                    stage_and_secure(context, service, snapshot, safety=bool(course.extra.get("safety")), alone=False)


def _wanted(context: Context, step: Step) -> tuple[Service, Snapshot]:
    service = context.service(step.request["service"])
    return service, data.snapshot_with_data(context, step.request["snapshot"], service.service_id, Use.FINISH)


def _deploy(saga: Saga) -> None:
    """Deployments; a service whose deployment fails is put back alone, unless that would leave nothing."""
    _finish_giving_up(saga)
    rollout = Rollout(saga)
    rollout.run()
    if not rollout.failures:
        return
    remaining = {task.service_id for task in saga.course.tasks} - saga.given_up - set(rollout.failures)
    if saga.course.whole or not remaining:
        service, (code, sentence, evidence) = next(iter(rollout.failures.items()))
        raise StepRefused(f"service {service}: {sentence}", code=code, evidence={"service": service, **evidence})
    for service, (code, sentence, evidence) in rollout.failures.items():
        why = {"service": service, "code": code, "sentence": sentence, "evidence": evidence}
        saga.journal.begin(f"give-up:{service}", why)
        saga.given_up.add(service)
    _finish_giving_up(saga)


def _finish_giving_up(saga: Saga) -> None:
    for step in saga.journal.steps():
        if step.kind.startswith("give-up:") and step.state is StepState.INTENT:
            _put_back(saga, {step.request["service"]})
            saga.journal.end(step)


def _put_back(saga: Saga, services: set[str]) -> None:
    """Configuration, data, then the old deployment, which must find both as they were."""
    Compensation(saga).undo_items(services)
    rollout = Rollout(saga)
    for task in reversed(saga.course.tasks):
        if task.service_id in services:
            ran = rollout.may_have_run(task)
            _put_data_back(saga, task, ran=ran)
            if ran:
                rollout.put_back(task, max(task.effect, Effect.UPDATE))


def _put_data_back(saga: Saga, task: Task, *, ran: bool) -> None:
    context, journal = saga.context, saga.journal
    for step in journal.steps("data"):
        if step.request["service"] == task.service_id:
            data.give_back(context, step)
            _put_sources_back(saga, task, step.request["snapshot"])
    if saga.course.purpose != "upgrade" or not task.protect_data or not ran or task.protect is None:
        return
    # The new version may have run on the data: it goes back with the rest.
    name = f"data-back:{task.service_id}"
    if not journal.steps(name):
        journal.plan([(name, {"service": task.service_id, "snapshot": task.protect})])
    snapshot = data.snapshot_with_data(context, task.protect, task.service_id, Use.FINISH)
    data.bring(context, journal.steps(name)[0], context.service(task.service_id), snapshot)


def _put_sources_back(saga: Saga, task: Task, restored: str) -> None:
    """What programs and volumes have taken in is replaced by what was saved of them before."""
    context = saga.context
    service = context.service(task.service_id)
    taken_in = begun(context, service, restored)
    if not taken_in:
        return
    if saga.course.purpose == "restore":
        give_back(context, service)
    elif task.protect is None:
        refuse_to_take_back(context, service, restored)
    else:
        bring_sources(context, service, context.snapshot(task.protect, Use.FINISH), taken_in)


# ---------------------------------------------------------------- what is settled
def _succeeded(saga: Saga) -> Outcome:
    course, context = saga.course, saga.context
    failed = {
        step.request["service"]: step.request for step in saga.journal.steps() if step.kind.startswith("give-up:")
    }
    changes: list[Change] = []
    statuses = [Status[name] for name in course.extra.get("other_statuses", ())]
    for task in course.tasks:
        why = failed.get(task.service_id)
        if course.purpose in GOOD:
            status = GOOD[course.purpose] if why is None else failed_status(course.purpose, why["code"])
            statuses.append(status)
            changes.append(SaveRecord(_record(context, course, task, status, why["sentence"] if why else "")))
        if why is None:
            changes += _saved(saga, task)
            changes += held(course, task)
    ignored, foreign = saga.ignored(), saga.not_converged()
    items = [*ignored, *foreign]
    items += [Item(name, why["code"], why["sentence"]) for name, why in failed.items()]
    gone = course.extra.get("gone", ())
    items += [Item(name, "service-gone", "is no longer registered, so it was not rolled back") for name in gone]
    left_out = any(item.code == "left-out" for item in ignored)
    done = len(course.tasks) - len(failed)
    return Outcome(
        State.SUCCEEDED,
        _sentence(course, done) + fallback.clause(context.journal),
        complete=not (failed or left_out or foreign or gone),
        items=tuple(items),
        figures=figures(course)
        | fallback.figures(context.journal)
        | ({"status": group_status(course.purpose, statuses).name} if statuses else {}),
        changes=tuple(changes),
    )


def _saved(saga: Saga, task: Task) -> list[Change]:
    service = saga.context.service(task.service_id)
    document = saga.result(task).document()
    if document == service.document:
        return []
    return [SaveService(replace(service, document=document, generation=service.generation + 1))]


def held(course: Course, task: Task) -> list[Change]:
    """The version that a rollback leaves is not applied again until somebody releases it."""
    origin = task.before().origin
    if course.purpose != "rollback" or not course.extra.get("hold") or task.old_version == task.new_version:
        return []
    reason = str(course.extra.get("reason") or "it was rolled back")
    return [HoldVersion(task.service_id, str(origin.get("group_key") or ""), task.old_version, True, reason)]


def unchanged(context: Context, course: Course) -> Outcome:
    """The end of a course that has nothing to tell the region: versions and records still move on."""
    return _succeeded(Saga(context, course))


def failed_status(purpose: str, code: str | None) -> Status:
    """The status of one service's record after it was put back."""
    return (
        Status.DEPLOY_FAILED if purpose == "upgrade" and code in DEPLOYMENT else BAD.get(purpose, Status.UPGRADE_FAILED)
    )


def closing(context: Context, outcome: Outcome) -> tuple[Change, ...]:
    """The rows that belong to every other end of a course: its records, and what is for the collector. A service that
    was put to rest for its protecting snapshot by a worker that died there is woken."""
    course = planned(context)
    if course is None:
        return ()
    for task in course.tasks:
        if (service := context.services.get(task.service_id)) is not None:
            wake(context, "snapshot", service)
    stuck = outcome.state is State.STUCK
    status = Status.COMPENSATION_FAILED if stuck else failed_status(course.purpose, outcome.code)
    left = () if stuck else left_over(context)
    records = [SaveRecord(_record(context, course, task, status, outcome.sentence)) for task in course.tasks]
    return (*(records if course.purpose in GOOD else ()), *left)


def _record(context: Context, course: Course, task: Task, status: Status, reason: str) -> UpgradeRecord:
    return record_of(context.operation, context.journal.steps(), course, task, status, reason)


def record_of(
    operation: Operation, steps: Iterable[Step], course: Course, task: Task, status: Status, reason: str
) -> UpgradeRecord:
    """The record of one task of an operation that has these steps."""
    origin = task.before().origin
    deploy = next((s for s in steps if s.kind == "deploy" and s.request["service"] == task.service_id), None)
    return UpgradeRecord(
        op_id=operation.op_id,
        service_id=task.service_id,
        seq=operation.seq,
        tenant_id=operation.tenant_id,
        group_id=origin.get("group"),
        group_key=str(origin.get("group_key") or ""),
        kind="rollback" if course.purpose == "rollback" else "upgrade",
        parent_id=task.parent_id,
        old_version=task.old_version,
        new_version=task.new_version,
        status=status,
        action=task.effect.name.lower(),
        event_id=None if deploy is None else str(deploy.reply.get("event") or deploy.request["event"]),
        snapshot_id=task.protect,
        reason=reason[:500],
    )


def _sentence(course: Course, done: int) -> str:
    verb = {"upgrade": "upgraded", "rollback": "rolled back", "restore": "restored"}[course.purpose]
    task = course.tasks[0]
    how = f"from {task.old_version or 'an unnamed version'} to {task.new_version or 'an unnamed version'}"
    if len(course.tasks) == 1:
        return f"service {task.service_id} is {verb} {how}"
    return f"{done} of {len(course.tasks)} services are {verb} {how}"


def figures(course: Course) -> dict[str, Any]:
    """Ids and counts for the outcome; no values."""
    return {
        "services": [task.service_id for task in course.tasks],
        "actions": {task.service_id: task.effect.name.lower() for task in course.tasks},
        "snapshots": {task.service_id: task.protect for task in course.tasks if task.protect},
        "changes": sum(len(task.plan.differing()) for task in course.tasks),
        "kept": sum(len(task.plan.staying()) for task in course.tasks),
        "old_version": _one({task.old_version for task in course.tasks}),
        "new_version": _one({task.new_version for task in course.tasks}),
    }


def _one(values: Iterable[str]) -> str | None:
    found = set(values)
    return found.pop() if len(found) == 1 else None
