"""What each route of the API answers, as types: the same as the command line prints wherever it is the same question.

Apart from the routes because these are a contract: the OpenAPI document is made from this table, and every answer that
a test sees is held against it. Documents may gain fields; none is renamed, removed or given another meaning.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from workers.cli.answers import audit, installation, letters, nodes, scheduling, snapshots, work


class Given(work.Operation):
    """The operation that a command has become."""

    repeated: Annotated[bool, "it had been accepted before, under the same Idempotency-Key"]


class Story(work.OperationStory):
    """An operation with everything that was done for it, in order."""

    summary: Annotated[list[str], "the same in a few sentences"]


class ServiceShown(installation.Service):
    """A service with what is known beside it."""

    has_configuration: bool
    version: Annotated[str | None, "the one that the last upgrade or rollback left it at"]
    newest_snapshot: snapshots.Snapshot | None
    retention: Annotated[dict[str, Any] | None, "the policy; null: everything is kept"]


class Change(TypedDict):
    """An upgrade or a rollback of a service, and what it has come to."""

    operation_id: str
    kind: Literal["upgrade", "rollback"]
    status: str
    group_key: str
    old_version: str
    new_version: str
    action: str
    snapshot_id: Annotated[str | None, "the protecting one: where a rollback leads to"]
    parent_id: Annotated[str | None, "of a rollback: the upgrade that it undoes"]
    reason: str


class Changes(TypedDict):
    """Upgrades and rollbacks of a service, newest first."""

    changes: list[Change]
    next: Annotated[str | None, "`before` of the next page; null: there is none"]


class Me(TypedDict):
    """Who asks, and what they may do where."""

    name: str
    roles: Annotated[dict[str, str], "by tenant, or `*`"]
    may: Annotated[dict[str, Any], "by tenant, or `*`: the actions"]


class Problem(TypedDict):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: Annotated[str, "what happened, and to what"]
    code: Annotated[str, "stable, for programs"]
    next_step: Annotated[str | None, "what to do"]
    field: Annotated[str | None, "which part of the request is meant"]


#: Name of the route -> the document of its success. Every command answers with `Given`.
ANSWERS: dict[str, Any] = {
    "list_operations": work.Operations,
    "show_operation": work.Operation,
    "explain_operation": Story,
    "cancel_operation": work.Operation,
    "resolve_operation": work.Operation,
    "move_operation": nodes.OperationMoved,
    "give_up_operation": work.Operation,
    "list_services": installation.Services,
    "show_service": ServiceShown,
    "show_history": Changes,
    "plan_upgrade": installation.Plan,
    "plan_rollback": installation.Plan,
    "plan_retention": snapshots.RetentionPlan,
    "list_versions": installation.Versions,
    "list_snapshots": snapshots.Snapshots,
    "show_snapshot": snapshots.Snapshot,
    "link_snapshot": snapshots.Link,
    "show_me": Me,
    "list_schedules": scheduling.Schedules,
    "show_schedule_history": scheduling.History,
    "list_recovery_points": scheduling.RecoveryPoints,
    "list_drills": scheduling.Drills,
    "list_dead_letters": letters.DeadLetters,
    "list_groups": letters.LetterGroups,
    "plan_replay": letters.LetterPlan,
    "show_dead_letter": letters.DeadLetterWhole,
    "read_message": letters.Message,
    "replay_dead_letter": letters.DeadLetterReplayed,
    "edit_dead_letter": letters.DeadLetterReplayed,
    "discard_dead_letter": letters.DeadLetterDiscarded,
    "begin_replay": letters.ReplayWhole,
    "list_replays": letters.Replays,
    "show_replay": letters.ReplayWhole,
    "stop_replay": letters.ReplayStopped,
    "list_nodes": nodes.Nodes,
    "show_node": nodes.NodeWhole,
    "drain_node": nodes.Node,
    "undrain_node": nodes.Node,
    "forget_node": nodes.NodeForgotten,
    "list_settings": installation.Settings,
    "list_audit": audit.Entries,
}
