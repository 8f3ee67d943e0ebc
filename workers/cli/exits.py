"""What the exit code of every command means: the one table, and the two ways into it.

Apart from the commands because scripts rely on these numbers and a number must never mean two things.
They only grow; a code that was given out is not given to anything else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from domain.errors import BackstayError, InvalidMessage, NotFound, Weather, WrongTenant


class Exit(IntEnum):
    """The code and its meaning for a script."""

    OK = 0  # it happened, completely
    FAILED = 1  # it did not happen; nothing changed unless the text says so
    USAGE = 2  # the command line, the configuration or the payload is wrong; nothing was sent
    PARTIAL = 3  # it happened, but for the items that are listed
    ROLLED_BACK = 4  # it failed after something was touched, and all of that was put back
    NOT_FOUND = 10  # a service, snapshot, operation or dead letter does not exist
    BUSY = 11  # something else reserves it
    NOT_ALLOWED = 12  # it belongs to another tenant, or has ended already
    VERIFY_FAILED = 13  # stored bytes are not what was written
    UNKNOWN = 14  # accepted or on its way, and not ended when --wait gave up or nobody waited
    TRY_LATER = 75  # the database, broker or store does not answer (EX_TEMPFAIL)
    UNFIT = 78  # this node must not work as it is set up: no snapshot is safe in its store (EX_CONFIG)
    INTERRUPTED = 130  # Ctrl-C; what was published goes on
    TERMINATED = 143  # SIGTERM


#: Reason codes of a failed operation that mean "there is no such thing".
MISSING = frozenset(
    {"not-found", "unknown-service", "unknown-operation", "snapshot-not-found", "directory-not-found",
     "version-not-found", "component-not-in-version", "unknown-upgrade"}
)  # fmt: skip
#: Reason codes of a failed operation that mean "stored bytes are not what was written".
DAMAGED = frozenset({"verify-failed", "snapshot-damaged", "object-missing"})
_BY_OUTCOME = {"rolled-back": Exit.ROLLED_BACK, "cancelled": Exit.FAILED, "stuck": Exit.FAILED}


def of_error(error: BackstayError) -> Exit:
    """The code for an error that ended a command."""
    if isinstance(error, InvalidMessage) or error.code == "usage":
        return Exit.USAGE
    if isinstance(error, NotFound):
        return Exit.NOT_FOUND
    if isinstance(error, WrongTenant):
        return Exit.NOT_ALLOWED
    if error.code == "busy":
        return Exit.BUSY
    return Exit.TRY_LATER if isinstance(error, Weather) else Exit.FAILED


def of_outcome(outcome: dict[str, Any]) -> Exit:
    """The code for an outcome document: how it ended, and for a failure why."""
    if outcome["outcome"] == "succeeded":
        return Exit.OK if outcome["complete"] else Exit.PARTIAL
    if outcome["outcome"] == "failed" and outcome["code"] in MISSING:
        return Exit.NOT_FOUND
    if outcome["outcome"] == "failed" and outcome["code"] in DAMAGED:
        return Exit.VERIFY_FAILED
    if outcome["outcome"] == "failed" and outcome["code"] == "wrong-tenant":
        return Exit.NOT_ALLOWED
    return _BY_OUTCOME.get(outcome["outcome"], Exit.FAILED)
