"""What one upgrade, rollback or restore is going to do, for all its services: the plan that is journalled.

Apart from the plans of single services because order, barrier and options belong to the whole. It is
written once, before the first effect, and read back by whoever goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from domain.changeset import Effect, ItemChange, ServicePlan, Verb
from domain.configuration import Configuration
from domain.deployment import deploy_call, event_id
from domain.kinds import KINDS
from domain.region import Place


@dataclass(frozen=True, slots=True)
class Task:
    """One service's part."""

    plan: ServicePlan
    place: Place
    effect: Effect
    protect: str | None = None  # id of the protecting snapshot
    protect_data: bool = False
    restore_data: str | None = None  # id of the snapshot whose data is brought back
    snapshot_id: str | None = None  # of a rollback: the snapshot it goes to
    parent_id: str | None = None  # of a rollback: the upgrade that it undoes
    old_version: str = ""
    new_version: str = ""

    @property
    def service_id(self) -> str:
        """Whose part."""
        return self.plan.service_id

    def before(self) -> Configuration:
        """The console's rows as they are until the operation settles."""
        return Configuration.load(self.plan.before)


@dataclass(frozen=True, slots=True)
class Health:
    """The gate after a deployment. Neither set: the deployment's own result is enough."""

    status: str | None = None  # the region must report this status, usually "running"
    hook: bool = False  # the node's health hook must end with 0
    within_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Course:
    """All tasks and how strict to be."""

    purpose: str  # "upgrade", "rollback" or "restore": also what event ids are derived from
    tasks: tuple[Task, ...]
    strict: bool = False  # an item that the region refuses turns everything back
    whole: bool = False  # one failed deployment turns all services back
    deploy_seconds: float = 1800.0
    health: Health = field(default_factory=Health)
    extra: Mapping[str, Any] = field(default_factory=dict)  # what the handler needs when it settles

    def is_idle(self) -> bool:
        """Whether there is nothing to do but to note the version."""
        return all(
            task.effect is Effect.NOTHING and not task.plan.changes and not task.restore_data for task in self.tasks
        )

    def task(self, service_id: str) -> Task:
        """The part of a service."""
        return next(task for task in self.tasks if task.service_id == service_id)

    def places(self, services: set[str]) -> list[Place]:
        """Where these services are."""
        return [task.place for task in self.tasks if task.service_id in services]

    def steps(self, op_id: str) -> list[tuple[str, dict[str, Any]]]:
        """The journal of the whole course, in order: plan, protection, removals of dependent kinds of all services,
        ordinary kinds of all services, dependent kinds of all services, data, deployments."""
        steps: list[tuple[str, dict[str, Any]]] = [("plan", self.document())]
        steps += [
            ("protect", {"service": task.service_id, "snapshot": task.protect, "data": task.protect_data})
            for task in self.tasks
            if task.protect
        ]
        # What depends goes before and comes after what it depends on, on the way back as well.
        for chosen in (_goes_first, _is_ordinary, _comes_last):
            for task in self.tasks:
                steps += _calls(task, chosen)
        steps += [
            ("data", {"service": task.service_id, "snapshot": task.restore_data})
            for task in self.tasks
            if task.restore_data
        ]
        steps += [_deploy(task, op_id, self.purpose) for task in self.tasks if task.effect is not Effect.NOTHING]
        return steps

    def document(self) -> dict[str, Any]:
        """The JSON form that the journal keeps."""
        return {
            "purpose": self.purpose,
            "tasks": [_task_document(task) for task in self.tasks],
            "strict": self.strict,
            "whole": self.whole,
            "deploy_seconds": self.deploy_seconds,
            "health": asdict(self.health),
            "extra": dict(self.extra),
        }

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Course:
        """The course that `document` was made of."""
        return cls(
            **dict(document)
            | {"tasks": tuple(_task(item) for item in document["tasks"]), "health": Health(**document["health"])}
        )


def _goes_first(change: ItemChange) -> bool:
    return KINDS[change.kind].dependent and change.verb is Verb.DELETE


def _is_ordinary(change: ItemChange) -> bool:
    return not KINDS[change.kind].dependent


def _comes_last(change: ItemChange) -> bool:
    return KINDS[change.kind].dependent and change.verb is not Verb.DELETE


def _calls(task: Task, chosen: Callable[[ItemChange], bool]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (
            "call",
            {
                "service": task.service_id,
                "change": number,
                "item": f"{change.kind}/{change.key}",
                "verb": change.verb.value,
                "derived_from": change.derived_from,
                "call": call.document(),
            },
        )
        for number, change in enumerate(task.plan.changes)
        if chosen(change)
        for call in KINDS[change.kind].calls(change, task.place)
    ]


def _deploy(task: Task, op_id: str, purpose: str) -> tuple[str, dict[str, Any]]:
    event = event_id(op_id, task.service_id, purpose)
    call = deploy_call(task.effect, Configuration.load(task.plan.after), task.place, event)
    return ("deploy", {"service": task.service_id, "effect": task.effect.name, "event": event, "call": call.document()})


def _task_document(task: Task) -> dict[str, Any]:
    document = {
        name: getattr(task, name) for name in Task.__dataclass_fields__ if name not in ("plan", "place", "effect")
    }
    return document | {"plan": task.plan.document(), "place": asdict(task.place), "effect": task.effect.name}


def _task(document: Mapping[str, Any]) -> Task:
    return Task(
        **dict(document)
        | {
            "plan": ServicePlan.load(document["plan"]),
            "place": Place(**document["place"]),
            "effect": Effect[document["effect"]],
        }
    )
