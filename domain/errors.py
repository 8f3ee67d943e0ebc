"""Every exception that crosses a layer, drawn once, with who may raise it and what follows.

    BackstayError
      Refused                 the request can never succeed; nothing was changed       -> FAILED
        InvalidMessage        the message itself is wrong; names the field             -> dead letter
        NotFound              a service, snapshot or operation does not exist
        WrongTenant           it exists and belongs to somebody else
        PathEscape            a path would leave the directory it must stay in
        SourceInterrupted     a program did not end by itself; it may have taken something in
        KeyUnavailable        what it was sealed with is not to be had; the bytes may be whole
          KeyUnreadable       this store's copy of it cannot be read; a replica may have it
          FormatTooNew        a later release has written it; the bytes are whole
      Weather                 the world said "not now"; the same call may work later   -> durable retry
        StoreUnavailable      object store: timeout, reset, 5xx, disk full
        DatabaseUnavailable   SQL: connection lost, lock timeout
        BrokerUnavailable     message broker: connection lost, publish unconfirmed
          NotTaken            it is there, and does not take this message
        SourceUnavailable     a source of data says that it cannot now
        RegionUnavailable     region: no connection, or busy with the service
        ServiceBusy           another operation holds a service of the group
        Postponed             wait for a known time; costs nothing of the budget
      Damaged                 stored bytes are not what was written                    -> FAILED
        ObjectMissing         an object that a manifest names is not in the store
        DamagedSnapshot       it is known which snapshot is meant (damage.py)
      Stopped                 the work was told to stop; not an error of the work
        LeaseLost             another worker holds the operation: touch nothing
        Cancelled             somebody asked for it
        DeadlineExceeded      the message said by when
        ShuttingDown          this process is stopping; the operation goes on elsewhere

Only `Refused` and `Damaged` texts reach a publisher, so they never contain secret values. A handler
raises them or returns an `Outcome`; it never catches `Stopped`. Anything outside this tree is a bug:
it is retried within the attempt budget and then becomes a dead letter with its traceback.
"""

from __future__ import annotations


class BackstayError(Exception):
    """Root of the tree. `code` is the stable machine-readable reason; `next_step` helps a person."""

    code = "internal-error"
    next_step = ""

    def __init__(self, message: str = "", *, code: str | None = None, next_step: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if code is not None:
            self.code = code
        if next_step is not None:
            self.next_step = next_step


class Refused(BackstayError):
    """The request cannot succeed as it stands, and nothing was changed."""

    code = "refused"


class InvalidMessage(Refused):
    """The message does not follow the contract. `field` is the dotted path of the first fault."""

    code = "invalid"
    next_step = "correct what is named and try again; a message that was published already needs a new id"

    def __init__(self, message: str, *, field: str = "", code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class NotFound(Refused):
    """What the request names does not exist."""

    code = "not-found"


class WrongTenant(Refused):
    """What the request names belongs to another tenant."""

    code = "wrong-tenant"
    next_step = "publish with the subject of the tenant that owns it"


class PathEscape(Refused):
    """A path would leave the directory that it must stay in."""

    code = "path-escape"
    next_step = "use a path beneath the node's apps root, without '..' and without symbolic links"


class SourceInterrupted(Refused):
    """A program of a source was ended before it had said whether it is done; what it was given may have arrived."""

    code = "source-interrupted"


class KeyUnavailable(Refused):
    """The key that something was sealed with is not to be had here: never a verdict on the bytes themselves."""

    code = "unknown-key"


class KeyUnreadable(KeyUnavailable):
    """The key is there and nobody destroyed it, and what the store has in its place is none."""

    code = "key-unreadable"
    next_step = "bring that object back from a replica or another copy; restores read a replica meanwhile"


class FormatTooNew(KeyUnavailable):
    """A later release has written it: as with a key that is not here, never a verdict on the bytes."""

    code = "format-too-new"
    next_step = "do this on a node of the release that has written it, or upgrade this node"


class Weather(BackstayError):
    """The world is not able to answer now. The same request may succeed later."""

    code = "unavailable"


class StoreUnavailable(Weather):
    """The object store did not answer, or answered that it cannot now."""

    code = "store-unavailable"


class DatabaseUnavailable(Weather):
    """The database did not answer."""

    code = "database-unavailable"


class BrokerUnavailable(Weather):
    """The broker did not take or confirm a message."""

    code = "broker-unavailable"


class NotTaken(BrokerUnavailable):
    """The broker is there and does not take this message, or one of the queues that it is for does not."""


class SourceUnavailable(Weather):
    """A program that saves or restores data asked to be run again later."""

    code = "source-unavailable"


class RegionUnavailable(Weather):
    """The region could not be reached, or is busy with the service."""

    code = "region-unavailable"


class ServiceBusy(Weather):
    """Another operation works on a service that this one needs as well."""

    code = "service-busy"


class Postponed(Weather):
    """There is something to wait for. `delay` is in seconds; waiting counts as no attempt."""

    code = "waiting"

    def __init__(self, message: str, *, delay: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.delay = delay


class Damaged(BackstayError):
    """Stored bytes are not the bytes that were written."""

    code = "snapshot-damaged"
    next_step = "restore another snapshot of the service; keep this one for inspection"


class ObjectMissing(Damaged):
    """The store does not hold an object that it should."""

    code = "object-missing"


class Stopped(BackstayError):
    """The work was told to stop."""

    code = "stopped"


class LeaseLost(Stopped):
    """Another worker holds this operation now. Touch nothing more."""

    code = "lease-lost"


class Cancelled(Stopped):
    """Somebody asked for the operation to be cancelled."""

    code = "cancelled"


class DeadlineExceeded(Stopped):
    """The operation's deadline has passed."""

    code = "deadline-exceeded"


class ShuttingDown(Stopped):
    """This process is stopping; the operation will be taken up again."""

    code = "shutting-down"
