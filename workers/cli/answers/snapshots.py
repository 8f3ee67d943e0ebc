"""Answers about snapshots: what there is, where it lies, what is kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from workers.cli.answers.words import Id, Next, Time


class Snapshot(TypedDict):
    """A snapshot as the catalogue knows it."""

    snapshot_id: Id
    tenant_id: str
    service_id: str
    state: Annotated[str, "`available`, `corrupt`, `deleting`"]
    taken_at: Time | None
    labels: Annotated[list[str], "`name:value`"]
    include: list[str]
    consistency: Literal["stable", "partial"]
    files: int
    logical_bytes: int
    stored_bytes: Annotated[int, "what it added to the store"]
    root_digest: str
    parent_id: str | None
    skipped: Annotated[list[str], "names that were left out"]
    pinned: Annotated[str | None, "why it is kept whatever the policy says"]
    verified_at: Time | None
    verified_level: str | None
    fault: Annotated[str | None, "what is wrong with it"]
    manifest_key: str
    key: NotRequired[Annotated[str, "`--keys` only: `service:id:index value:seconds`"]]
    metadata: NotRequired[Annotated[dict[str, Any], "`--keys` only: as tools that know snapshots by such keys have it"]]


class Snapshots(TypedDict):
    """Snapshots, newest first."""

    snapshots: list[Snapshot]
    next: Next


class Link(TypedDict):
    """An address from which an archive can be fetched, or how far the making of it is."""

    state: Literal["ready", "preparing"]
    url: NotRequired[str]
    seconds: NotRequired[Annotated[int, "how long the address works"]]
    bytes: NotRequired[int]
    sha256: NotRequired[str]
    operation_id: NotRequired[str]
    progress: NotRequired[dict[str, Any] | None]


class StoredObject(TypedDict):
    """One archive in a place."""

    key: str
    bytes: int


class Objects(TypedDict):
    """What lies in a place."""

    objects: list[StoredObject]


class PassedOver(TypedDict):
    """Something that was not taken in, and why."""

    key: NotRequired[str]
    snapshot_id: NotRequired[str]
    reason: str


class Imports(TypedDict):
    """Imports that were asked for."""

    dry_run: bool
    asked: list[dict[str, Any]]
    passed_over: list[PassedOver]


class Record(TypedDict):
    """The signed record of a snapshot."""

    snapshot_id: Id
    record: str


class Decision(TypedDict):
    """What a retention policy means for one snapshot."""

    snapshot_id: Id
    taken_at: Time | None
    keep: bool
    reasons: list[str]


class RetentionPlan(TypedDict):
    """What applying a policy now would do."""

    service_id: str
    policy: dict[str, Any]
    snapshots: list[Decision]


class Missing(TypedDict):
    """An object that a snapshot needs and the store lacks."""

    snapshot_id: str
    key: str
    reason: str


class Catalogue(TypedDict):
    """The catalogue against the store."""

    dry_run: NotRequired[Annotated[bool, "of `rebuild`"]]
    added: list[str]
    known: int
    passed_over: list[PassedOver]
    missing: list[Missing]
    unknown_manifests: list[str]
    unknown_packs: list[str]
    foreign: list[str]
