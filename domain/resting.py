"""The node's own programs around the reading or the replacing of a service's data.

Apart from the work because what was made to rest must be woken whatever happens: the journal remembers it, so a
worker that takes over wakes what its predecessor had put to rest. Both programs may therefore run twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from domain.context import Context
from domain.contracts.sources import Work
from domain.errors import LeaseLost
from domain.journal import HOOK
from domain.operation import Step, StepState
from domain.outcome import Item
from domain.service import Service


@contextmanager
def resting(context: Context, what: Work, service: Service) -> Iterator[list[Item]]:
    """While the block runs the service rests; the items tell, once it has ended, what went wrong with waking it."""
    items: list[Item] = []
    if not context.hooks.any(what):
        yield items
        return
    if _left(context, what, service) is None:
        context.journal.begin(_kind(what, service), {"service": service.service_id})
    try:
        context.hooks.before(what, service, context.watch)
        yield items
    except LeaseLost:
        raise  # whoever holds it now is reading, and wakes it
    except BaseException:  # also when interrupted, no service stays asleep; the error goes on
        wake(context, what, service)
        raise
    items += wake(context, what, service)


@contextmanager
def resting_again(context: Context, what: Work, service: Service) -> Iterator[None]:
    """While the block runs a service rests that an earlier holder has put to rest and may be waking still; any other
    one is left as it is."""
    if _left(context, what, service) is None:
        yield
        return
    with resting(context, what, service):
        yield


def wake(context: Context, what: Work, service: Service) -> tuple[Item, ...]:
    """Run the program for afterwards if the other may have run; what went wrong. LeaseLost leaves it to the next."""
    step = _left(context, what, service)
    if step is None:
        return ()
    trouble = context.hooks.after(what, service, context.watch)
    context.journal.end(step, StepState.UNDONE, {"trouble": trouble} if trouble else {})
    return (Item(f"after_{what}", "hook-failed", trouble),) if trouble else ()


def _left(context: Context, what: Work, service: Service) -> Step | None:
    """What the journal remembers of a service that nobody has woken yet."""
    return context.journal.find(_kind(what, service))


def _kind(what: Work, service: Service) -> str:
    return f"{HOOK}{what}:{service.service_id}"
