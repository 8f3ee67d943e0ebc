"""What of RabbitMQ py-amqp or kombu leaves out: unreadable properties, and a refusal as an error of the broker.

Headers of a message may hold any 64 bits as a time, and RabbitMQ does not look; py-amqp raises, and the
connection is lost. The message would come again at once and for ever, and with it the end of intake.
Here such a message arrives with its body and without its properties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from amqp.exceptions import FrameSyntaxError, MessageNacked  # type: ignore[import-untyped]
from amqp.method_framing import frame_handler  # type: ignore[import-untyped]

Frame = tuple[int, int, bytes]
#: What py-amqp raises when the broker says that it did not take a message; no kind of error that kombu lists.
NACKED: type[Exception] = MessageNacked
_CONTENT_HEADER = 2
#: Class, weight and size of the body come first in a content header; then flags that say which properties follow.
_SIZE_END, _NO_PROPERTIES = 12, b"\0\0"


def forgiving(connection: Any, callback: Callable[..., Any]) -> Callable[[Frame], bool]:
    """py-amqp's frame handler, but for properties that it cannot read."""
    on_frame = frame_handler(connection, callback)

    def on_any_frame(frame: Frame) -> bool:
        kind, channel, content = frame
        if kind != _CONTENT_HEADER:
            return bool(on_frame(frame))
        try:
            return bool(on_frame(frame))
        except (ValueError, ArithmeticError, OSError, RecursionError, FrameSyntaxError):
            return bool(on_frame((kind, channel, bytes(content[:_SIZE_END]) + _NO_PROPERTIES)))

    return on_any_frame
