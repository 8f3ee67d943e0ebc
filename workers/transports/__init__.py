"""The two kombu transports of our own, and how kombu learns of them.

kombu's stock Redis transport loses messages when a consumer is killed and cannot read what other
languages write; its file and SQL transports lose whatever was not acknowledged. These two are small,
acknowledge for real, and take bare CloudEvents from anybody. `register()` is called, nothing happens
at import.
"""

from __future__ import annotations

import base64
from typing import Any


def register() -> None:
    """Make kombu understand spool://, redisstream:// and redisstreams://."""
    from kombu.transport import TRANSPORT_ALIASES

    TRANSPORT_ALIASES["spool"] = "workers.transports.spool:SpoolTransport"
    TRANSPORT_ALIASES["redisstream"] = "workers.transports.redisstream:StreamTransport"
    TRANSPORT_ALIASES["redisstreams"] = "workers.transports.redisstream:TlsStreamTransport"


def payload(body: bytes, headers: dict[str, str], queue: str, tag: str) -> dict[str, Any]:
    """A message in the form that kombu's virtual channels hand to consumers."""
    return {
        "body": base64.b64encode(body).decode("ascii"),
        "content-type": headers.get("content-type", ""),
        "content-encoding": "binary",
        "headers": headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": tag,
            "delivery_info": {"exchange": "", "routing_key": queue},
        },
    }


def body_of(message: dict[str, Any]) -> bytes:
    """The bytes of a message that kombu asks a channel to put."""
    body = message["body"]
    if message["properties"].get("body_encoding") == "base64":
        return base64.b64decode(body)
    return body.encode() if isinstance(body, str) else bytes(body)


def headers_of(message: dict[str, Any]) -> dict[str, str]:
    """Its headers; where there are any, the content type too, because it decides how they are meant."""
    headers = {str(name): str(value) for name, value in (message.get("headers") or {}).items()}
    if headers and message.get("content-type"):
        headers["content-type"] = str(message["content-type"])
    return headers
