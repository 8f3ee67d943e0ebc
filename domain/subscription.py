"""What a file in `handlers/` declares: which payload it understands, what it does, how it is routed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from domain.context import Context
from domain.outcome import Change, Outcome


@dataclass(frozen=True, slots=True)
class Subscription:
    """One message type. The type's name is the name of the file that defines it.

    `model` validates the message's `data` (a pydantic model class); `handle(payload, context)` returns
    an Outcome; `undo(payload, context)` puts back what an unfinished attempt touched, is idempotent and
    is only called when the journal says that something may have been touched. Without `undo` there is only
    forward from there: neither a cancel nor the deadline ends it, and a retry of what got STUCK handles it again.
    """

    model: type[Any]
    handle: Callable[[Any, Context], Outcome]
    undo: Callable[[Any, Context], None] | None = None
    #: Domain changes that belong to a failed or cancelled end, such as garbage to collect.
    abandon: Callable[[Any, Context], tuple[Change, ...]] | None = None
    #: Domain changes that belong to every end but success, STUCK and ROLLED_BACK included: records.
    closing: Callable[[Any, Context, Outcome], tuple[Change, ...]] | None = None
    versions: frozenset[int] = frozenset({1})
    exclusive: bool = True  # reserves the service while active
    local: Callable[[Any], bool] = lambda payload: False  # runs where the service's directory is
    builds: Callable[[Any], bool] = lambda payload: False  # needs room for a tree, on whichever node takes it
    node: Callable[[Any], str | None] = lambda payload: None  # an explicit node in the payload
