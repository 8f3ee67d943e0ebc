"""What a tenant is told of an outcome: one short sentence or two, apart from the operator's detail.

Apart from the outcome's own sentence because that one names nodes, regions, objects and programs. Here is nothing of
the kind and no text from elsewhere: the words are chosen by type, outcome and reason code, so that they are fit to be
passed on unread. They promise what the outcome promises, and no more.
"""

from __future__ import annotations

from domain.operation import Operation, State
from domain.outcome import Outcome

#: What was asked for, and that it holds.
_KINDS: dict[str, tuple[str, str]] = {
    "apply-retention": ("The clean-up of old snapshots", "Snapshots that are no longer to be kept were removed."),
    "cancel-operation": ("The cancellation", "The cancellation was passed on."),
    "create-snapshot": ("The snapshot", "The snapshot was made and checked."),
    "delete-snapshot": ("The deletion of the snapshot", "The snapshot was deleted."),
    "export-record": ("The record of the snapshot", "The record of the snapshot was made."),
    "export-snapshot": ("The export", "The archive of the snapshot is ready to be downloaded."),
    "hold-version": ("The hold on the version", "The hold on the version was set as asked."),
    "import-record": ("The import of the record", "The snapshot is listed again."),
    "import-snapshot": ("The import", "The archive was imported as a snapshot."),
    "pause-schedule": ("The pause of the schedule", "The schedule was paused or resumed as asked."),
    "pin-snapshot": ("The protection of the snapshot", "The protection of the snapshot was set as asked."),
    "publish-version": ("The publication of the version", "The version was published."),
    "register-service": ("The registration", "The service was registered."),
    "remove-schedule": ("The removal of the schedule", "The schedule was removed."),
    "repack-service": ("The clean-up of stored data", "Stored data was cleaned up; every snapshot stays what it was."),
    "restore-drill": ("The test of a restore", "A restore was tested, and the snapshot came back whole."),
    "restore-snapshot": ("The restore", "The restore is complete."),
    "rollback": ("The rollback", "The rollback is complete."),
    "set-retention": ("The change of the retention", "It was set how long snapshots are kept."),
    "set-rpo": ("The change of the goal", "It was set how old the newest snapshot may become."),
    "set-schedule": ("The change of the schedule", "The schedule was set."),
    "upgrade-service": ("The upgrade", "The upgrade is complete."),
    "verify-snapshot": ("The check of the snapshot", "The check of the snapshot found nothing wrong."),
}
_UNKNOWN_KIND = ("The request", "The request was carried out.")
#: Why, for codes that mean something to a tenant. All others are the operators' business.
_DAMAGED = "The snapshot is damaged."
_NO_SNAPSHOT = "There is no such snapshot."
_UNREADABLE = "The key that the snapshot was sealed with is not available."
_PLATFORM_AWAY = "A part of the platform could not be reached for too long."
_PLATFORM_REFUSED = "The platform did not accept a change."
REASONS = {
    "archive-damaged": "The archive is damaged.",
    "archive-not-found": "There is no such archive.",
    "component-not-in-version": "The version does not hold this service.",
    "configuration-differs": "The configuration was changed meanwhile.",
    "copy-of-data-only": "A copy can hold data only.",
    "database-unavailable": _PLATFORM_AWAY,
    "deploy-failed": "The new version could not be started.",
    "deploy-refused": "The new version could not be started.",
    "directory-not-found": "The service has no data yet.",
    "directory-taken": "Another service uses that directory.",
    "hostile-archive": "The archive is not safe to unpack.",
    "invalid": "The request is not valid.",
    "key-unreadable": _UNREADABLE,
    "key-destroyed": "The key that the snapshot was sealed with was destroyed, so it can no longer be read.",
    "no-policy": "It is not set which snapshots are kept.",
    "no-room": "There was not enough room.",
    "not-in-snapshot": "The snapshot does not hold what was asked for.",
    "nothing-to-roll-back": "There is nothing to roll back to.",
    "object-missing": _DAMAGED,
    "object-short": _DAMAGED,
    "pause-in-the-past": "The pause would be over already.",
    "path-escape": "A path leads out of the service's directory.",
    "path-not-in-snapshot": "The snapshot does not hold what was asked for.",
    "pinned": "The snapshot is protected from deletion.",
    "region-denied": _PLATFORM_REFUSED,
    "region-quota": "The quota does not allow it.",
    "region-refused": _PLATFORM_REFUSED,
    "region-unavailable": _PLATFORM_AWAY,
    "restored-differently": "What was restored did not match the snapshot.",
    "snapshot-corrupt": _DAMAGED,
    "snapshot-damaged": _DAMAGED,
    "snapshot-not-found": _NO_SNAPSHOT,
    "snapshot-of-another-service": "The snapshot is of another service.",
    "snapshot-partial": "The snapshot does not hold all of the data.",
    "source-failed": "The service's own program for its data failed.",
    "source-interrupted": "The service's own program for its data did not end in time, or was killed.",
    "source-unavailable": "The service's own program for its data was not ready for too long.",
    "store-unavailable": _PLATFORM_AWAY,
    "target-not-empty": "The directory holds data already.",
    "too-large": "The request is too large.",
    "unhealthy": "The new version did not become healthy in time.",
    "unknown-key": _UNREADABLE,
    "unknown-operation": "There is no such operation.",
    "unknown-schedule": "There is no such schedule.",
    "unknown-service": "There is no such service.",
    "unknown-upgrade": "There is no such upgrade.",
    "verify-failed": "A stored copy of the snapshot is damaged.",
    "version-held": "This version is on hold.",
    "version-not-found": "There is no such version.",
    "wrong-key": _UNREADABLE,
    "wrong-tenant": "There is no such service or snapshot.",  # that it exists for another is not theirs to know
}
#: A message that never became an operation.
NOT_UNDERSTOOD = "The request could not be understood, and nothing was done."
#: One whose key an earlier one has, which goes its own way.
ASKED_BEFORE = "Another request has the same key. That one counts; this one was not carried out."


def is_known(kind: str) -> bool:
    """Whether the message type has words of its own."""
    return kind in _KINDS


def tenant_sentence(operation: Operation, outcome: Outcome) -> str:
    """The sentence for that end of the operation."""
    what, holds = _KINDS.get(operation.kind, _UNKNOWN_KIND)
    if outcome.code == "resolved-by-operator":
        end = "put everything back as it was" if outcome.state is State.ROLLED_BACK else "finished it"
        return f"{what} could not end by itself; an operator has {end}."
    if outcome.state is State.SUCCEEDED:
        if operation.data.get("dry_run") is True:
            return f"{what} was only tried out; nothing was changed."
        return holds if outcome.complete else f"{holds} Some parts were left out."
    if outcome.state is State.STUCK:
        return f"{what} could not be finished. Our operators have been told; until then the service cannot be changed."
    put_back = "everything was put back as it was" if outcome.state is State.ROLLED_BACK else "nothing was changed"
    if outcome.code == "deadline-exceeded":
        return f"{what} could not be done in time; {put_back}."
    if outcome.state is State.CANCELLED or outcome.code == "cancelled":
        return f"{what} was cancelled; {put_back}."
    return f"{what} failed; {put_back}. {REASONS.get(outcome.code or '', 'Our operators can see why.')}"
