"""What the parts of a process tell a tracer: spans by name, parents by `traceparent`, and nothing of a tracing library.

Apart from `otel`, which speaks OpenTelemetry, because that is an extra: without it, or without an address to send
spans to, NO_TRACING stands in its place and costs nothing. A span's fields are ids, names and results, never a value
of a message. What a message says of its trace is passed on in either case.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from domain.contracts import Accepted, Inbox, Receipt, Rejected

if TYPE_CHECKING:
    from domain.operation import Operation

Field = str | int | float | bool
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


class Hop(Enum):
    """What a span stands for in the trace."""

    SEND = "producer"  # a message leaves
    WORK = "consumer"  # a message is taken, or worked on
    CALL = "client"  # another system is asked and answers
    PART = "internal"


class Span(Protocol):
    """One span that is open."""

    @property
    def traceparent(self) -> str | None:
        """What others continue the trace with (W3C); None when there is no trace."""

    def note(self, **fields: Field) -> None:
        """Add to its fields."""

    def fail(self, what: str) -> None:
        """Mark it as failed; `what` is a code or the name of an error, no text that may quote values."""


class Tracer(Protocol):
    """May be shared between threads."""

    on: bool  # whether spans go anywhere

    def span(
        self, name: str, hop: Hop, parent: str | None = None, *, alone: bool = False, **fields: Field
    ) -> contextlib.AbstractContextManager[Span]:
        """A span for the block. Without `parent` it belongs to the span of the block that it is in, if any; `alone`:
        to none, and none of the block belongs to it."""

    def close(self) -> None:
        """Send what has not been sent, for some seconds at the most."""


class _Nothing:
    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def note(self, **fields: Field) -> None:
        """Nobody listens."""

    def fail(self, what: str) -> None:
        """Nobody listens."""


class NoTracing:
    """A tracer without traces: what a message brought along is passed on."""

    on = False

    @contextlib.contextmanager
    def span(
        self, name: str, hop: Hop, parent: str | None = None, *, alone: bool = False, **fields: Field
    ) -> Iterator[Span]:
        """Does nothing."""
        yield _Nothing(parent)

    def close(self) -> None:
        """Nothing is waiting."""


NO_TRACING: Tracer = NoTracing()


def trace_of(operation: Operation) -> str:
    """What the work on an operation continues: its message's trace, or else one whose id is the operation's, so that
    all attempts on all nodes meet in it."""
    return operation.traceparent or trace_of_id(operation.op_id)


def trace_of_id(op_id: str) -> str:
    """The trace of an operation whose message brought none."""
    digits = "".join(digit for digit in op_id.lower() if digit in "0123456789abcdef")[:32].rjust(32, "a")
    return f"00-{digits}-{digits[16:]}-01"


def traced_by(header: str | None) -> dict[str, str]:
    """The attribute of an event that came with that header: none when it is no `traceparent`, as W3C asks."""
    return {"traceparent": header} if header and _TRACEPARENT.match(header) else {}


def accept_traced(tracer: Tracer, door: Inbox, items: Sequence[Accepted | Rejected]) -> list[Receipt]:
    """Make a batch durable. With traces, what continues a command's is the span of its acceptance: the row keeps it."""
    if not tracer.on:
        return door.accept(items)
    with contextlib.ExitStack() as spans:
        opened = [spans.enter_context(_accepting(tracer, item)) for item in items]
        traced = [_continued(item, span) for item, span in zip(items, opened, strict=True)]
        receipts = door.accept(traced)
        for span, receipt in zip(opened, receipts, strict=True):
            span.note(result=receipt.status, operation=receipt.op_id or "")
    return receipts


def _accepting(tracer: Tracer, item: Accepted | Rejected) -> contextlib.AbstractContextManager[Span]:
    """Beside the spans of the other messages of the batch, not within them."""
    if isinstance(item, Rejected):
        return tracer.span("reject", Hop.WORK, alone=True, reason=item.reason)
    command = item.command
    return tracer.span(
        f"accept {command.kind}",
        Hop.WORK,
        command.traceparent,
        alone=True,
        message=command.message_id,
        kind=command.kind,
    )


def _continued(item: Accepted | Rejected, span: Span) -> Accepted | Rejected:
    if isinstance(item, Rejected):
        return item
    return replace(item, command=replace(item.command, traceparent=span.traceparent))
