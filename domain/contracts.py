"""The ports: what handlers and the executor need from SQL, the store and the file system.

Each promise is written here once; the contract suites in `tests/contract` hold every implementation to
it. Nothing here is thread-bound unless it says so: all implementations may be shared between threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from domain.message import Command
from domain.operation import Operation, State, Step
from domain.outcome import Change, Outcome
from domain.restore import ManifestSummary, RestoreMode, Staged
from domain.service import Service
from domain.snapshot import Label, Snapshot, SnapshotRequest

Buffer = bytes | bytearray | memoryview


# ---------------------------------------------------------------- clocks and ids
class Clock(Protocol):
    """Time as this process sees it. Never compared with another machine's."""

    def boottime(self) -> float:
        """Seconds of CLOCK_BOOTTIME: counts suspend, unlike monotonic time."""

    def wall_ms(self) -> int:
        """UTC milliseconds; for people and file names only."""


# ---------------------------------------------------------------- accepting
@dataclass(frozen=True, slots=True)
class Accepted:
    """A valid command on its way into the inbox."""

    command: Command
    request_hash: str  # hex digest over kind, version, subject and canonical data
    exclusive: bool  # reserves its service while active
    local: bool  # must run on the node that has the service's directory
    node: str | None = None  # an explicit node, which overrides the service's


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message that cannot become an operation; kept as a dead letter with its raw bytes."""

    raw: bytes = field(repr=False)
    reason: str  # undecodable | invalid | unknown-type | too-large
    sentence: str  # names the field
    source: str | None = None  # as far as they could be read
    message_id: str | None = None
    kind: str | None = None
    subject: str | None = None
    reply_to: str | None = None
    headers: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one message: accepted | duplicate | key-reused | rejected."""

    status: str
    op_id: str | None = None
    dead_letter_id: str | None = None


class Inbox(Protocol):
    """The door. A message is accepted when `accept` has returned."""

    def accept(self, batch: Sequence[Accepted | Rejected]) -> list[Receipt]:
        """Make the whole batch durable in one transaction; receipts in the same order.

        Same key and same hash: `duplicate` with the first operation's id. Same key, other hash: dead
        letter `key-reused`. An identical rejected message is one dead letter, counted again.
        """

    def backlog(self) -> int:
        """How many operations are QUEUED (bounded count: stops counting at 100 000)."""


# ---------------------------------------------------------------- claiming and settling
@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on an operation until the lease ends. `operation.fence` is its token."""

    operation: Operation
    takeover: bool  # somebody held it before: look for what they left


class Ledger(Protocol):
    """Claim, renew, journal, settle. Every write is conditional on the claim's fence and raises
    LeaseLost when it matches no row; then nothing at all was written."""

    def claim(self, node: str, owner: str, limit: int, lease_ms: int) -> list[Claim]:
        """Take up to `limit` ready operations that this node can do, oldest first, at most one
        exclusive operation per service, never past an older one of the same service."""

    def renew(self, claim: Claim, lease_ms: int, progress: dict[str, Any] | None = None) -> bool:
        """Extend the lease; True when a cancel was requested. `progress` resets the poison count and is
        kept for whoever watches."""

    def steps(self, op_id: str) -> list[Step]:
        """The journal so far, by ordinal."""

    def intend(
        self, claim: Claim, ordinal: int, kind: str, request: dict[str, Any], changes: Sequence[Change], lease_ms: int
    ) -> None:
        """Commit a step as INTENT (insert or overwrite), apply `changes`, renew the lease."""

    def conclude(self, claim: Claim, ordinal: int, state: str, reply: dict[str, Any], lease_ms: int) -> None:
        """Commit a step as DONE, UNDONE or IGNORED with its reply; renew the lease."""

    def turn_back(self, claim: Claim, outcome: Outcome) -> None:
        """RUNNING -> COMPENSATING; keeps `outcome` as the reason; the claim stays held."""

    def settle(self, claim: Claim, outcome: Outcome) -> None:
        """One transaction: domain changes, terminal state (or STUCK), outbox event, dead letter for
        FAILED and STUCK, lease released."""

    def retry_later(self, claim: Claim, delay_ms: int, code: str, sentence: str) -> None:
        """Durable backoff: attempts + 1, lease released, claimable again after the delay."""

    def reroute(self, claim: Claim, node: str | None) -> None:
        """Give the operation to another node; costs nothing of its budget."""

    def release(self, claim: Claim) -> None:
        """Put it back unharmed, claimable at once (a graceful stop costs no budget). Never raises LeaseLost."""

    def release_dead(self, owner_is_dead: Callable[[str], bool]) -> int:
        """Free leases whose owner string names a process that is certainly gone; how many."""

    def request_cancel(self, op_id: str) -> State | None:
        """QUEUED, never started: settle CANCELLED at once. RUNNING: set the flag. The state after; None if unknown."""

    def get(self, op_id: str) -> Operation | None:
        """One operation by id."""


# ---------------------------------------------------------------- domain rows
class Services(Protocol):
    """Reading services; they change only by settling."""

    def get(self, service_id: str) -> Service | None:
        """The service, whoever owns it."""


class Catalogue(Protocol):
    """The SQL index of snapshots. No method calls the store."""

    def get(self, snapshot_id: str) -> Snapshot | None:
        """The snapshot in any state."""

    def newest(self, service_id: str) -> Snapshot | None:
        """The newest available snapshot of the service that includes data."""

    def find(
        self, tenant_id: str | None, service_ids: Sequence[str], labels: Sequence[Label], limit: int, before: str | None
    ) -> list[Snapshot]:
        """Snapshots that are not being deleted, newest first: of any of the services (all if empty) with all
        of the labels."""

    def garbage(self, limit: int) -> list[Garbage]:
        """Objects that may be removed from the store, manifests first."""

    def live_packs(self, prefix: str) -> set[str]:
        """Keys beneath `prefix` that the pack table names as live."""

    def forget_garbage(self, keys: Iterable[str]) -> None:
        """Drop the rows: their objects are gone."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """A key to delete, or a prefix beneath which every pack that is not live is to be deleted."""

    key: str
    is_prefix: bool
    created_at: int


# ---------------------------------------------------------------- archive, trees, store
class Watch(Protocol):
    """How long work says that it lives and asks whether it may go on. Safe to call from any thread."""

    def check(self) -> None:
        """Raise LeaseLost, Cancelled, DeadlineExceeded or ShuttingDown; cheap, call it often."""

    def advance(self, bytes_done: int = 0, files_done: int = 0) -> None:
        """Count progress (increments), then `check`."""

    def expect(self, bytes_total: int, files_total: int) -> None:
        """State the totals as soon as they are known."""


class Archive(Protocol):
    """Snapshots in the object store, self-contained: manifest and packs."""

    def create(self, request: SnapshotRequest, watch: Watch) -> ManifestSummary:
        """Read the directory, store what is new, publish the manifest last, read it back.

        If a manifest with this snapshot id is already published (an earlier attempt died after it), it
        is adopted: nothing is read again. On any exception nothing is published.
        """

    def read(self, manifest_key: str) -> ManifestSummary:
        """Fetch and check a manifest; ObjectMissing or Damaged if it is not whole."""

    def stage(self, manifest_key: str, target: str, staging: str, mode: RestoreMode, watch: Watch) -> Staged:
        """Build the complete tree at `staging` (absent before; same file system as `target`), every
        byte verified, files and directories fsynced. MERGE adds what only `target` has."""

    def manifest_key(self, tenant_id: str, service_id: str, snapshot_id: str) -> str:
        """Where that snapshot's manifest lives."""

    def pack_prefix(self, tenant_id: str, snapshot_id: str) -> str:
        """The prefix of all packs that the attempts of that snapshot may write."""

    def collect(self, garbage: Sequence[Garbage], live: Callable[[str], set[str]]) -> list[str]:
        """Delete garbage from the store, manifests before packs; the keys whose objects are gone."""


class Trees(Protocol):
    """The live directories of this node, all beneath its apps root."""

    def resolve(self, directory: str) -> str:
        """The absolute path of a service's directory; PathEscape if it, or a link in it, leads outside."""

    def staging_path(self, op_id: str, target: str) -> str:
        """Where that operation stages a tree: on the target's file system, outside every live tree."""

    def is_absent(self, path: str) -> bool:
        """True when there is nothing at that path."""

    def is_empty(self, path: str) -> bool:
        """True when the directory is absent or holds nothing."""

    def swap(self, staging: str, target: str, inode: int) -> bool:
        """Make the staged tree (recognised by `inode`) the live one, atomically and durably. The old
        tree is then at `staging`. Idempotent; False when it had been swapped already."""

    def swap_back(self, staging: str, target: str, inode: int) -> bool:
        """Undo `swap`, if it happened. Idempotent."""

    def discard(self, op_id: str) -> None:
        """Remove everything that operation staged or set aside."""

    def staged_operations(self) -> list[str]:
        """Ids of operations that have left something in the staging folder."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One line of a listing."""

    key: str
    size: int


class ObjectStore(Protocol):
    """Where packs and manifests live.

    The world must guarantee: an object appears whole or not at all; after `put` or `create` returned it
    is durable and every reader sees it; deleting is idempotent. Listing may lag behind writes, so no
    decision that destroys data rests on an object being absent from a listing. No clock is trusted.

    Errors: StoreUnavailable for weather (already retried inside the call), ObjectMissing for a key
    that is not there, Refused for denied access or an unusable configuration.
    """

    def put(self, key: str, parts: Sequence[Buffer]) -> None:
        """Write one object from the parts in order, replacing any former one."""

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """Write one object if there is none under the key; False if there is one already."""

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of the object; a short read is an error, never a short answer."""

    def size(self, key: str) -> int | None:
        """Bytes of the object; None when it is absent."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Every object whose key begins with `prefix`, in any order."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects; absent ones are fine."""

    def sweep(self, older_than_seconds: int) -> int:
        """Remove what interrupted writes left (temporary files, multipart uploads); how many."""


# ---------------------------------------------------------------- telling
@dataclass(frozen=True, slots=True)
class Event:
    """One row of the outbox: an event that must be told at least once."""

    event_id: str  # also the CloudEvents id, so that listeners can drop repeats
    op_id: str  # the operation, or the dead letter of a rejected message
    topic: str  # routing key on the events exchange: <command>.<outcome>.<tenant>
    reply_to: str | None  # a second routing key that the publisher asked for
    payload: dict[str, Any] = field(repr=False)  # the whole CloudEvent


class Outbox(Protocol):
    """Events waiting to be told. Rows are written only by accepting, settling and progress."""

    def take(self, limit: int, hold_ms: int) -> list[Event]:
        """Unsent events, oldest first, held for this relay until `hold_ms` have passed."""

    def sent(self, event_ids: Sequence[str]) -> None:
        """The broker confirmed them."""

    def waiting(self) -> tuple[int, int]:
        """How many are unsent, and the age of the oldest in milliseconds."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An operation or a raw message that needs a person."""

    dead_letter_id: str
    op_id: str | None
    kind: str | None
    subject: str | None
    source: str | None
    message_id: str | None
    reason: str
    sentence: str
    fingerprint: str
    traceback: str
    seen: int
    created_at: int
    resolution: str | None = None  # replayed | discarded
    resolved_by: str | None = None
    resolved_note: str | None = None
    replay_op_id: str | None = None
    raw: bytes | None = field(default=None, repr=False)  # only for messages that were never accepted
    headers: dict[str, Any] = field(default_factory=dict, repr=False)


class DeadLetters(Protocol):
    """What needs a person. Nothing expires; each is resolved once, by compare-and-set."""

    def list(self, *, resolved: bool, limit: int, before: str | None) -> list[DeadLetter]:
        """Newest first; unresolved only unless `resolved`."""

    def get(self, dead_letter_id: str) -> DeadLetter | None:
        """One, with its raw bytes."""

    def replay_operation(self, dead_letter_id: str, by: str) -> str | None:
        """A new operation with the failed one's command and lineage in both directions; its id.
        None when the letter had been resolved already: a second click changes nothing."""

    def replay_message(self, dead_letter_id: str, by: str, item: Accepted) -> str | None:
        """The same for a raw message that decodes by now."""

    def discard(self, dead_letter_id: str, by: str, note: str) -> bool:
        """Resolve without replaying; False when it had been resolved already."""


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node that runs, or ran, a worker."""

    node: str
    seen_at: int  # UTC milliseconds by the database's clock
    age_ms: int
    version: str


class Nodes(Protocol):
    """Which nodes are alive, for people and for routing."""

    def beat(self, node: str, boot_id: str, version: str) -> None:
        """This node is alive now."""

    def list(self) -> list[NodeSeen]:
        """All nodes ever seen, by name."""


class Wake(Protocol):
    """Something to wait on for new work; a missed wake only costs the poll interval."""

    def wait(self, seconds: float) -> bool:
        """Return early, True, when there may be new work."""

    def set(self) -> None:
        """There may be new work (from this process)."""

    def close(self) -> None:
        """Stop listening."""
