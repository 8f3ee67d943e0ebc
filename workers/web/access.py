"""Who may do what over HTTP: the roles, the actions, and the one table that joins them.

Apart from the requests because this is data and pure decisions, tested cell by cell. A caller has a role in each of
some tenants, or in `*`, which is every tenant and the installation itself. What is not in the table is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from domain.audit import Actor
from domain.errors import Refused

#: In a token's roles: all tenants, and what belongs to none of them.
EVERYWHERE = "*"


class Role(StrEnum):
    """What somebody is trusted with; each role may do all that those before it may."""

    VIEWER = "viewer"  # look
    OPERATOR = "operator"  # change what can be put back
    ADMIN = "admin"  # change what cannot be put back, and see what is secret


class Action(StrEnum):
    """Something that a request wants to do."""

    OPERATIONS_READ = "operations.read"
    OPERATIONS_CANCEL = "operations.cancel"
    OPERATIONS_RETRY = "operations.retry"  # a STUCK one is put back once more
    OPERATIONS_RESOLVE = "operations.resolve"  # a STUCK one ends by a person's word
    OPERATIONS_MOVE = "operations.move"  # to another node, with its service
    OPERATIONS_GIVE_UP = "operations.give-up"  # its node is lost for good, so it becomes STUCK
    SERVICES_READ = "services.read"
    SERVICES_REGISTER = "services.register"  # names a directory and programs of a node
    SERVICES_UPGRADE = "services.upgrade"
    SERVICES_ROLLBACK = "services.rollback"
    VERSIONS_READ = "versions.read"
    VERSIONS_PUBLISH = "versions.publish"
    VERSIONS_HOLD = "versions.hold"
    SNAPSHOTS_READ = "snapshots.read"
    SNAPSHOTS_CREATE = "snapshots.create"
    SNAPSHOTS_VERIFY = "snapshots.verify"
    SNAPSHOTS_RESTORE = "snapshots.restore"
    SNAPSHOTS_PLACE = "snapshots.place"  # restore elsewhere than where the service is
    SNAPSHOTS_PIN = "snapshots.pin"
    SNAPSHOTS_EXPORT = "snapshots.export"  # hands data out
    SNAPSHOTS_IMPORT = "snapshots.import"
    SNAPSHOTS_DELETE = "snapshots.delete"
    SNAPSHOTS_REPACK = "snapshots.repack"
    RETENTION_APPLY = "retention.apply"
    RETENTION_CHANGE = "retention.change"
    SCHEDULES_READ = "schedules.read"
    SCHEDULES_CHANGE = "schedules.change"
    DEAD_LETTERS_READ = "dead-letters.read"
    DEAD_LETTERS_RAW = "dead-letters.raw"  # messages as they came, with what may be secret in them
    DEAD_LETTERS_REPLAY = "dead-letters.replay"
    DEAD_LETTERS_EDIT = "dead-letters.edit"
    DEAD_LETTERS_DISCARD = "dead-letters.discard"
    NODES_READ = "nodes.read"
    NODES_CHANGE = "nodes.change"  # drain and undrain
    NODES_FORGET = "nodes.forget"
    SETTINGS_READ = "settings.read"
    AUDIT_READ = "audit.read"
    TOKENS_CHANGE = "tokens.change"  # see who has one, make one with any role, end one


#: The least role that may do it.
LEAST: Mapping[Action, Role] = {
    Action.OPERATIONS_READ: Role.VIEWER,
    Action.OPERATIONS_CANCEL: Role.OPERATOR,
    Action.OPERATIONS_RETRY: Role.OPERATOR,
    Action.OPERATIONS_RESOLVE: Role.ADMIN,
    Action.OPERATIONS_MOVE: Role.OPERATOR,
    Action.OPERATIONS_GIVE_UP: Role.OPERATOR,
    Action.SERVICES_READ: Role.VIEWER,
    Action.SERVICES_REGISTER: Role.ADMIN,
    Action.SERVICES_UPGRADE: Role.OPERATOR,
    Action.SERVICES_ROLLBACK: Role.OPERATOR,
    Action.VERSIONS_READ: Role.VIEWER,
    Action.VERSIONS_PUBLISH: Role.ADMIN,
    Action.VERSIONS_HOLD: Role.OPERATOR,
    Action.SNAPSHOTS_READ: Role.VIEWER,
    Action.SNAPSHOTS_CREATE: Role.OPERATOR,
    Action.SNAPSHOTS_VERIFY: Role.OPERATOR,
    Action.SNAPSHOTS_RESTORE: Role.OPERATOR,
    Action.SNAPSHOTS_PLACE: Role.ADMIN,
    Action.SNAPSHOTS_PIN: Role.OPERATOR,
    Action.SNAPSHOTS_EXPORT: Role.ADMIN,
    Action.SNAPSHOTS_IMPORT: Role.ADMIN,
    Action.SNAPSHOTS_DELETE: Role.ADMIN,
    Action.SNAPSHOTS_REPACK: Role.OPERATOR,
    Action.RETENTION_APPLY: Role.ADMIN,
    Action.RETENTION_CHANGE: Role.ADMIN,
    Action.SCHEDULES_READ: Role.VIEWER,
    Action.SCHEDULES_CHANGE: Role.OPERATOR,
    Action.DEAD_LETTERS_READ: Role.VIEWER,
    Action.DEAD_LETTERS_RAW: Role.ADMIN,
    Action.DEAD_LETTERS_REPLAY: Role.OPERATOR,
    Action.DEAD_LETTERS_EDIT: Role.ADMIN,
    Action.DEAD_LETTERS_DISCARD: Role.OPERATOR,
    Action.NODES_READ: Role.VIEWER,
    Action.NODES_CHANGE: Role.OPERATOR,
    Action.NODES_FORGET: Role.ADMIN,
    Action.SETTINGS_READ: Role.OPERATOR,
    Action.AUDIT_READ: Role.OPERATOR,
    Action.TOKENS_CHANGE: Role.ADMIN,
}

#: What belongs to the installation: a role in a tenant is not enough. A directory that a tenant may name could be
#: another's which nobody has registered yet.
OF_NO_TENANT = frozenset(
    {
        Action.OPERATIONS_MOVE,
        Action.OPERATIONS_GIVE_UP,
        Action.SERVICES_REGISTER,
        Action.SNAPSHOTS_PLACE,
        Action.NODES_READ,
        Action.NODES_CHANGE,
        Action.NODES_FORGET,
        Action.SETTINGS_READ,
        Action.TOKENS_CHANGE,
    }
)

#: What publishing a command of this type is. One that is missing here cannot be given over HTTP.
COMMANDS: Mapping[str, Action] = {
    "apply-retention": Action.RETENTION_APPLY,
    "cancel-operation": Action.OPERATIONS_CANCEL,
    "create-snapshot": Action.SNAPSHOTS_CREATE,
    "delete-snapshot": Action.SNAPSHOTS_DELETE,
    "export-record": Action.SNAPSHOTS_EXPORT,
    "export-snapshot": Action.SNAPSHOTS_EXPORT,
    "hold-version": Action.VERSIONS_HOLD,
    "import-record": Action.SNAPSHOTS_IMPORT,
    "import-snapshot": Action.SNAPSHOTS_IMPORT,
    "pause-schedule": Action.SCHEDULES_CHANGE,
    "pin-snapshot": Action.SNAPSHOTS_PIN,
    "publish-version": Action.VERSIONS_PUBLISH,
    "register-service": Action.SERVICES_REGISTER,
    "remove-schedule": Action.SCHEDULES_CHANGE,
    "repack-service": Action.SNAPSHOTS_REPACK,
    "restore-drill": Action.SNAPSHOTS_VERIFY,
    "restore-snapshot": Action.SNAPSHOTS_RESTORE,
    "rollback": Action.SERVICES_ROLLBACK,
    "set-retention": Action.RETENTION_CHANGE,
    "set-rpo": Action.SCHEDULES_CHANGE,
    "set-schedule": Action.SCHEDULES_CHANGE,
    "upgrade-service": Action.SERVICES_UPGRADE,
    "verify-snapshot": Action.SNAPSHOTS_VERIFY,
}

_RANK = {role: rank for rank, role in enumerate(Role)}


def action_of(kind: str, data: Mapping[str, Any]) -> Action:
    """What giving this command is; NotAllowed for one that cannot be given over HTTP."""
    action = COMMANDS.get(kind)
    if action is None:
        raise NotAllowed(f"{kind} is no command that can be given over HTTP", next_step="publish it at the broker")
    if kind == "restore-snapshot" and data.get("target"):
        return Action.SNAPSHOTS_PLACE
    if kind == "set-schedule":  # what is asked for by itself takes no less than asking for it
        asked = COMMANDS.get(str(data.get("kind")), action)
        return max(action, asked, key=lambda one: _RANK[LEAST[one]])
    return action


class NotAllowed(Refused):
    """The caller's role does not allow it."""

    code = "not-allowed"
    next_step = "ask somebody with that role, or for a token that has it: `backstay tokens create --help`"


class NotAuthenticated(Refused):
    """The request does not say who it is from."""

    code = "not-authenticated"
    next_step = "send `Authorization: Bearer TOKEN`; `backstay tokens create` makes one"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from. `via` is how they came, and stands in the source of their commands."""

    name: str
    roles: Mapping[str, Role]  # by tenant, or EVERYWHERE
    via: str = "api"  # or console
    csrf: str = field(default="", repr=False)  # what a form of this session must send back; none without a session

    @property
    def actor(self) -> Actor:
        """As the audit trail names them."""
        return Actor(self.name, self.via)

    def may(self, action: Action, tenant: str | None) -> bool:
        """Whether they may do this in that tenant; None is the installation, or a thing that belongs to nobody."""
        anywhere = self.roles.get(EVERYWHERE)
        here = None if tenant is None or action in OF_NO_TENANT else self.roles.get(tenant)
        return any(role is not None and _RANK[role] >= _RANK[LEAST[action]] for role in (anywhere, here))

    def require(self, action: Action, tenant: str | None) -> None:
        """NotAllowed, saying which role it takes, unless they may."""
        if not self.may(action, tenant):
            whole = tenant is None or action in OF_NO_TENANT
            where = "for the whole installation" if whole else f"in tenant {tenant}"
            raise NotAllowed(f"{action.value} {where} takes the role {LEAST[action].value}, which {self.name} has not")

    def tenants(self, action: Action) -> list[str] | None:
        """Where they may do this: tenants by name, or None for everywhere. For lists."""
        if self.may(action, None):
            return None
        return sorted(tenant for tenant in self.roles if tenant != EVERYWHERE and self.may(action, tenant))
