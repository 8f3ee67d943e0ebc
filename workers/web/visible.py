"""What a caller may look at, by its id: one decision for the API and for the console.

Apart from access.py, which knows roles and no rows. What does not exist and what belongs to a tenant that the caller
may not look at are the same NotFound in the same words, so that nobody learns which ids there are.
"""

from __future__ import annotations

from domain.audit import Actor
from domain.contracts import DeadLetter
from domain.errors import NotFound
from domain.identity import tenant_named
from domain.letters import Candidate
from domain.operation import Operation
from domain.replay import Replay
from domain.service import Service
from domain.snapshot import Snapshot
from domain.upgrade_record import UpgradeRecord
from workers.web.access import Action, Caller
from workers.web.desk import Desk

#: The ways by which a name is that of a token.
OVER_HTTP = frozenset({"api", "console"})


def operation(here: Desk, who: Caller, operation_id: str) -> Operation:
    """The operation with its data; NotFound."""
    found = here.database.ledger.get(operation_id)
    if found is None or not who.may(Action.OPERATIONS_READ, found.tenant_id):
        raise _absent("operation", operation_id, "unknown-operation")
    return found


def service(here: Desk, who: Caller, service_id: str) -> Service:
    """The service with its configuration; NotFound."""
    found = here.database.services.get(service_id)
    if found is None or not who.may(Action.SERVICES_READ, found.tenant_id):
        raise _absent("service", service_id, "unknown-service")
    return found


def snapshot(here: Desk, who: Caller, snapshot_id: str) -> Snapshot:
    """The snapshot with its labels and packs; NotFound."""
    found = here.database.catalogue.get(snapshot_id)
    if found is None or not who.may(Action.SNAPSHOTS_READ, found.tenant_id):
        raise _absent("snapshot", snapshot_id, "snapshot-not-found")
    return found


def dead_letter(here: Desk, who: Caller, dead_letter_id: str) -> DeadLetter:
    """The letter with everything; NotFound."""
    found = here.database.dead_letters.get(dead_letter_id)
    if found is None or not who.may(Action.DEAD_LETTERS_READ, tenant_of(found)):
        raise _absent("dead letter", dead_letter_id, "unknown-dead-letter")
    return found


def replay(here: Desk, who: Caller, replay_id: str) -> Replay:
    """The replay; NotFound."""
    found = here.database.replays.get(replay_id)
    if found is None or not may_see_replay(who, found):
        raise _absent("replay", replay_id, "unknown-replay")
    return found


def may_see_replay(who: Caller, found: Replay) -> bool:
    """Whether they have begun it over HTTP, or may look at everybody's letters. A name is a token's only here: on a
    command line somebody else may have it."""
    whose = whose_replays(who)
    return whose is None or Actor(found.actor, found.way) in whose


def whose_replays(who: Caller) -> list[Actor] | None:
    """By whom those were begun that they may look at; None: by anybody. For lists."""
    return None if who.may(Action.DEAD_LETTERS_READ, None) else [Actor(who.name, way) for way in OVER_HTTP]


def tenant_of(letter: DeadLetter | Candidate) -> str | None:
    """Whose it is, as far as its message says; None: nobody's, so that it takes a role everywhere."""
    return tenant_named(letter.subject)


def changes(here: Desk, service_id: str) -> list[UpgradeRecord]:
    """Upgrades and rollbacks of a service, newest first."""
    records = here.database.records
    both = [*records.history(service_id, "upgrade"), *records.history(service_id, "rollback")]
    return sorted(both, key=lambda record: record.seq, reverse=True)


def _absent(what: str, name: str, code: str) -> NotFound:
    return NotFound(
        f"there is no {what} {name[:80]}, or not in a tenant that you may look at",
        code=code,
        next_step=f"the list of {what}s shows those that there are",
    )
