"""Bugs planted where one hand is to be kept off what is another's: claims, fences, reservations, what was planned.

Apart from the other planted bugs because what is seen of these is not a wrong result: it is that two were at it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select, text, true, update

import storage.sql.claim
import storage.sql.journal
import storage.sql.ready
import storage.sql.reservations
import storage.sql.settle
import storage.sql.turns
import workers.region_double.state
from domain.contracts import Claim
from domain.deployment import event_id
from domain.dialogue import Dialogue
from domain.journal import Journal
from domain.operation import Step
from domain.rollout import Rollout
from storage.sql import Database
from storage.sql.tables import operation, service_fence

Patch = pytest.MonkeyPatch


def journal_not_fenced(patch: Patch) -> None:
    """Whoever has ever held an operation may write about it."""

    def hold(connection: Any, claim: Claim, **values: Any) -> bool:
        row = connection.execute(
            update(operation)
            .where(operation.c.op_id == claim.operation.op_id)
            .values(**values)
            .returning(operation.c.cancel_requested)
        ).first()
        return bool(row.cancel_requested)

    patch.setattr(storage.sql.journal, "hold", hold)
    patch.setattr(storage.sql.settle, "hold", hold)


def no_seal(patch: Patch) -> None:
    """What is read from a region is believed although older requests may still land."""
    patch.setattr(Dialogue, "seal", lambda self, place: None)


def takeover_keeps_the_fence(patch: Patch) -> None:
    """Only the first claim raises the fence: the service is the same one, after all."""
    raise_all = storage.sql.claim._raise_fences

    def raised(tx: Any, connection: Any, rows: Any) -> set[str]:
        started = [row for row in rows if row.fence > 0]
        return raise_all(tx, connection, [row for row in rows if row.fence == 0]) | {row.service_id for row in started}

    patch.setattr(storage.sql.claim, "_raise_fences", raised)


def _without(patch: Patch, guard: str) -> None:
    """The database without what would stand in the way of the bug by itself: "INDEX name" or "TRIGGER name"."""
    migrate = Database.migrate

    def migrated(self: Database) -> None:
        migrate(self)
        with self._engine.begin() as connection:
            connection.execute(text(f"DROP {guard}"))

    patch.setattr(Database, "migrate", migrated)


def siblings_ignored(patch: Patch) -> None:
    """What is ready is begun, whoever is at work on its service; and no index says no."""
    _without(patch, "INDEX op_one_active")
    patch.setattr(storage.sql.ready, "_in_turn", lambda mine: true())
    patch.setattr(storage.sql.turns, "READY", storage.sql.ready._of_lane())
    patch.setattr(storage.sql.turns, "LANES", storage.sql.ready._lanes())


def group_not_reserved(patch: Patch) -> None:
    """An upgrade of a group holds the service that it was sent to, and works on all of them."""
    patch.setattr(Journal, "reserve", lambda self, service_ids: None)


def group_fenced_from_the_lowest(patch: Patch) -> None:
    """The one fence of a group follows the lowest of its members, not the highest; and no trigger says no."""
    _without(patch, "TRIGGER fence_grows")

    def raised(connection: Any, held: Any) -> int:
        lowest = int(connection.scalar(select(func.min(service_fence.c.fence)).where(held)) or 0)
        connection.execute(update(service_fence).where(held).values(fence=lowest + 1))
        return lowest + 1

    patch.setattr(storage.sql.reservations, "_raise", raised)


def lower_fences_taken(patch: Patch) -> None:
    """A region that notes fences, and refuses none."""

    def noted(service: Any, given: str | None) -> None:
        service["fence"] = max(service["fence"], int(given or 0))

    patch.setattr(workers.region_double.state, "_judge_fence", noted)


def asked_for_anew_by_each_worker(patch: Patch) -> None:
    """Whoever takes over asks for a deployment of his own, under an id of his own."""
    send = Rollout._send

    def anew(self: Rollout, step: Step) -> None:
        if step.ordinal in self._saga.inherited:
            purpose = f"{self._saga.course.purpose}-{self._journal.fence}"
            event = event_id(self._context.operation.op_id, step.request["service"], purpose)
            call = step.request["call"] | {"body": step.request["call"]["body"] | {"event_id": event}}
            step = self._journal.start(replace(step, request=step.request | {"event": event, "call": call}))
        send(self, step)

    patch.setattr(Rollout, "_send", anew)
