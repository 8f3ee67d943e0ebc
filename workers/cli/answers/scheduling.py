"""Answers about what happens by itself: schedules, restore drills, and how old each service's newest snapshot is."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from workers.cli.answers.words import Id, Next, Time


class Pause(TypedDict):
    """Why a schedule asks for nothing."""

    reason: str
    by: Annotated[str, "who, or the source of the command when no person sent it"]
    at: Time | None
    until: Annotated[Time | None, "null: until somebody resumes it"]


class Schedule(TypedDict):
    """What is asked for by itself."""

    name: str
    tenant_id: str
    service_id: Annotated[str | None, "null: every service of the tenant"]
    kind: Annotated[str, "the command"]
    cron: str
    zone: str
    jitter_seconds: int
    catch_up: Literal["none", "one", "all"]
    coalesce: bool
    data: Annotated[dict[str, Any], "what the command takes"]
    next_at: Annotated[Time | None, "the next nominal time"]
    paused: Pause | None
    changed_at: Time | None
    changed_by: str


class Schedules(TypedDict):
    """By tenant and name."""

    schedules: list[Schedule]
    next: Next


class Firing(TypedDict):
    """What became of one nominal time for one service."""

    nominal_at: Time | None
    service_id: str
    run_at: Annotated[Time | None, "with its jitter"]
    state: Literal["planned", "asked", "coalesced", "skipped"]
    why: Annotated[str | None, "why it was skipped"]
    operations: list[Id]


class ScheduleWhole(Schedule):
    """A schedule, what comes and what was."""

    next_times: list[Time | None]
    scheduler: Annotated[str | None, "the node that looks after schedules now"]
    history: list[Firing]


class History(TypedDict):
    """Newest first."""

    history: list[Firing]
    next: Next


class RecoveryPoint(TypedDict):
    """How much would be lost now."""

    newest_at: Annotated[Time | None, "when the newest good snapshot was begun"]
    age_seconds: int | None
    goal_seconds: Annotated[int | None, "how old it may become; null: nobody has said"]
    missed: bool


class ServiceRecoveryPoint(RecoveryPoint):
    """That of a service."""

    service_id: str
    tenant_id: str


class RecoveryPoints(TypedDict):
    """Those that miss their goals first, then by age."""

    services: list[ServiceRecoveryPoint]
    next: Next


class Drill(TypedDict):
    """A restore to a scratch place."""

    operation_id: Id
    service_id: str
    tenant_id: str
    snapshot_id: Annotated[str | None, "null: there was none to restore"]
    node: str
    passed: bool
    reason: Annotated[str | None, "the code of what went wrong"]
    recovery_seconds: Annotated[float | None, "how long it took"]
    goal_seconds: int | None
    within_goal: bool
    bytes: int
    files: int
    ended_at: Time | None


class Drills(TypedDict):
    """Newest first."""

    drills: list[Drill]
    next: Next
