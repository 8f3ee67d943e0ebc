"""Answers about services, versions, plans, keys, settings and the installation as a whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from workers.cli.answers.scheduling import RecoveryPoint
from workers.cli.answers.words import Next, Time


class Service(TypedDict):
    """A service, without its configuration."""

    service_id: str
    tenant_id: str
    alias: str
    directory: str
    node: str | None
    region: str | None
    generation: int
    rpo: Annotated[RecoveryPoint | None, "how much would be lost now"]


class ServiceWhole(Service):
    """A service with what is known beside it."""

    has_configuration: bool
    newest_snapshot_id: str | None


class Services(TypedDict):
    """Services by name."""

    services: list[Service]
    next: Next


class Version(TypedDict):
    """A published version of an application."""

    tenant_id: Annotated[str, "whose it is; `public` is everybody's"]
    group_key: Annotated[str, "the application"]
    version: str
    updated_at: Time | None


class Versions(TypedDict):
    """Versions that a tenant can see."""

    versions: list[Version]
    next: Next


class Change(TypedDict):
    """One item that an upgrade or a rollback would change; secret values are `***`."""

    kind: str
    key: str
    verb: Literal["add", "update", "delete"]
    before: dict[str, Any]
    after: dict[str, Any]
    note: str


class Kept(TypedDict):
    """One item that stays as the user has set it."""

    kind: str
    key: str
    note: str


class Drift(TypedDict):
    """One item that was changed by hand since the last upgrade."""

    kind: str
    key: str
    verb: str


# `from` is a word of Python's, so this one is written as a call.
ServicePlan = TypedDict(
    "ServicePlan",
    {
        "service_id": str,
        "from": Annotated[str | None, "the version that is installed"],
        "to": Annotated[str | None, "the version that would be"],
        "action": Annotated[str, "what the region would do: nothing, `update`, `build`, …"],
        "protecting_snapshot": Annotated[bool, "one is taken first"],
        "changes": list[Change],
        "kept": list[Kept],
        "drift": list[Drift],
        "notes": list[str],
    },
)


class Plan(TypedDict):
    """What an upgrade or a rollback would do."""

    purpose: str
    held: Annotated[str | None, "why the version is held"]
    services: list[ServicePlan]


class KeyUse(TypedDict):
    """What is sealed with a key."""

    values: Annotated[int, "in SQL"]
    tenants: Annotated[list[str], "whose data keys it wraps"]
    snapshots: Annotated[int | None, "plain ones whose configuration it seals; null without `--snapshots`"]


class Key(KeyUse):
    """One key of the ring."""

    key: str
    current: Annotated[bool, "it seals"]
    removable: bool


class Keys(TypedDict):
    """The ring, and what is sealed with keys that it lacks."""

    ring: list[Key]
    not_in_ring: KeyUse


class Rewrapped(TypedDict):
    """What was sealed anew."""

    current: Annotated[str, "with this key"]
    values: Annotated[int, "in SQL"]
    tenants: Annotated[list[str], "whose data keys were wrapped anew"]
    values_not_opened: Annotated[int, "sealed with a key that the ring lacks"]


class KeysRewrapped(Keys):
    """The ring after `rewrap`."""

    rewrapped: Rewrapped
    failed: Annotated[dict[str, str], "tenant: why its key could not be wrapped anew"]


class KeyRotated(TypedDict):
    """The new key: in the embedded ring, or with `--entry` to be put into BACKSTAY_SECRET_KEYS."""

    current: NotRequired[str]
    entry: NotRequired[str]


class KeyDestroyed(TypedDict):
    """A tenant's key that is gone."""

    tenant_id: str
    destroyed: Annotated[str, "the key's id"]
    still_readable: Annotated[list[str], "manifests of snapshots that were never sealed"]


class Setting(TypedDict):
    """One setting; secrets are masked."""

    name: str
    value: str
    origin: Annotated[str, "`default`, `environment`, the file, or the option"]
    about: str


class Settings(TypedDict):
    """Every setting."""

    settings: list[Setting]


class SecretKeys(TypedDict):
    """A fresh key ring."""

    secret_keys: str


class Running(TypedDict):
    """Everything runs; printed once, before the first work is done."""

    node: str
    http: Annotated[str | None, "the address that it listens on"]
    pid: int


class Told(TypedDict):
    """What the demo has shown, line by line; with `--broken` what was repaired."""

    ok: Annotated[bool, "every line was true"]
    claims: list[str]


class Migrated(TypedDict):
    """The database has this program's schema."""

    migrated: bool


class Check(TypedDict):
    """One check of doctor."""

    name: str
    about: Annotated[str, "the operation, region or node, when a check looks at many; else empty"]
    verdict: Literal["ok", "warn", "fail"]
    detail: str
    next_step: Annotated[str, "what to do; empty only when all is well"]


class Doctor(TypedDict):
    """All checks."""

    ok: Annotated[bool, "none failed"]
    checks: list[Check]


class SupportBundle(TypedDict):
    """An archive that was made."""

    path: str
    bytes: int
    files: list[str]
    missing: Annotated[dict[str, str], "what could not be had, and why"]


class MessageType(TypedDict):
    """A command that can be published."""

    type: str
    summary: str
    example: Annotated[str, "a payload"]
    exclusive: Annotated[bool, "it reserves its service"]
    schema: Annotated[dict[str, Any], "the JSON Schema of the payload"]


class MessageTypes(TypedDict):
    """All of them."""

    messages: list[MessageType]
    next: Next


class Replica(TypedDict):
    """A further store of snapshots."""

    replica: str
    state: Literal["lagging", "current"]
    copied: Annotated[int, "snapshots that it has"]
    pending: Annotated[int, "snapshots that it is owed"]
    damaged: int
    oldest_pending_seconds: int
    trouble: Annotated[str | None, "why it lags"]


class Replicas(TypedDict):
    """All further stores."""

    policy: str
    replicas: list[Replica]


class HistoryPruned(TypedDict):
    """What was forgotten, or with `dry_run` would be."""

    dry_run: bool
    operations: int
    steps: Annotated[int, "of those operations"]
    events: Annotated[int, "of those operations, or about none; all had been sent"]


class Script(TypedDict):
    """The completion of a shell."""

    shell: Literal["bash", "zsh", "fish"]
    script: str


class Schemas(TypedDict):
    """The JSON Schema of each command's document; with a command's name only that one."""

    schemas: dict[str, Any]
