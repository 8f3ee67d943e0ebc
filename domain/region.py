"""The region: the platform's control plane as Backstay sees it. Calls are values, so that they can be journalled.

A `Call` is built by an item kind or by the deployment, written down, sent through the port `Region`, and
answered by a `Reply`. Nothing here decides what a reply means; that is `domain/classify.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Repeat(StrEnum):
    """What may be done when nobody knows whether the call arrived."""

    SAFE = "safe"  # idempotent: send it again
    EXISTS = "exists"  # send it again; "it exists already" then means that the first one arrived
    ONCE = "once"  # starts work: ask first whether it was started


class Scope(StrEnum):
    """What a path is relative to."""

    SERVICE = "service"  # /v2/tenants/{tenant}/services/{alias}
    TENANT = "tenant"  # /v2/tenants/{tenant}


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` begins with `/` and is relative to `scope`; `body` may hold secrets."""

    name: str  # for people and metrics: "add-env", "restore-ports", "build"
    method: str
    path: str
    #: None sends no body and an empty string one of zero length; keys `tenant_id` are overwritten with the
    #: region's own id of the tenant when it is sent.
    body: dict[str, Any] | str | None = field(default=None, repr=False)
    repeat: Repeat = Repeat.SAFE
    scope: Scope = Scope.SERVICE
    optional: bool = False  # a call about one configuration item: a 400 leaves the item out

    def document(self) -> dict[str, Any]:
        """The JSON form that a journal keeps."""
        return {
            "name": self.name,
            "method": self.method,
            "path": self.path,
            "body": self.body,
            "repeat": self.repeat.value,
            "scope": self.scope.value,
            "optional": self.optional,
        }

    @classmethod
    def load(cls, document: dict[str, Any]) -> Call:
        """The call that `document` was made of."""
        return cls(**document | {"repeat": Repeat(document["repeat"]), "scope": Scope(document["scope"])})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is for the region: region, console's tenant, service id and alias."""

    region: str
    tenant_id: str
    service_id: str
    alias: str


class Trouble(StrEnum):
    """Why there is no complete reply."""

    NOT_SENT = "not-sent"  # no connection: the region cannot have seen the call
    CUT = "cut"  # time-out, reset or half a reply after sending: it may have been applied


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a status with its parsed documents, or the trouble. Never raises, never retries."""

    status: int = 0  # 0: no complete reply, see `trouble`
    bean: Any = None  # `bean` of the first document
    items: list[Any] | None = None  # `list` of the first document
    message: str = ""  # `msg`, validation text or the trouble in words, at most 500 characters, no secrets of ours
    trouble: Trouble | None = None
    fenced: bool = False  # the region has seen a higher fence for this service
    retry_after: float | None = None  # seconds, when the region said so
    took_ms: int = 0


class Region(Protocol):
    """Sending calls. One attempt per `send`; retries are the caller's, so that each is journalled."""

    def send(self, place: Place, call: Call, fence: int) -> Reply:
        """Send one call and read the whole reply within the region's timeouts. Raises Refused only when
        the region is not configured on this node."""

    def longest_call(self, place: Place) -> float:
        """Seconds after which `send` has certainly returned: what a lease must still hold before sending."""

    def retry_seconds(self, place: Place) -> float:
        """How long one step may repeat a call within an attempt, in seconds, before its operation waits in its row."""

    def honours_fences(self, place: Place) -> bool:
        """Whether the region refuses calls with a fence lower than the highest it has seen."""

    def settle_seconds(self, place: Place) -> float:
        """How long a call whose reply was lost can still take effect in a region without fences."""
