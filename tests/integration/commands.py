"""The one command that the suites of intake publish, whatever the broker."""

from __future__ import annotations

from typing import Any


def command(message_id: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": message_id,
        "source": "/test",
        "type": "backstay.create-snapshot.v1",
        "subject": "tenant/acme/service/web",
        "data": {},
    }
