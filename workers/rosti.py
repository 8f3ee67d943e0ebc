"""What lies in a bucket of rosti snapshots, read so that each can be imported.

The layout: bodies under `<app>:<uuid>:<index value>:<unix seconds>`, and under `_metadata/<uuid>` a JSON object with
`uuid`, `app_name`, `ts` and `labels`. The value of the index label may hold colons, so a key is taken apart from both
ends. Nothing is guessed: what has no metadata, or metadata that contradict its key, is passed over and said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain.contracts import Places
from domain.errors import InvalidMessage, Refused
from domain.snapshot import Label

_KEY = re.compile(
    r"(?P<app>[^:/]+):(?P<uuid>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):(?P<value>.*):(?P<ts>\d{1,11})\Z"
)
_METADATA = "_metadata/"
#: Bytes; a document of labels is smaller.
_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class RostiSnapshot:
    """One of them. `trouble` says why it cannot be imported; empty when it can."""

    key: str
    app: str
    uuid: str
    taken_at: str  # RFC 3339
    labels: tuple[str, ...] = ()
    trouble: str = ""


def snapshots_in(places: Places, place: str, tenant_id: str) -> Iterator[RostiSnapshot]:
    """All of them, the oldest of each app first, so that each shares what its predecessor has stored."""
    keys = (info.key for info in places.list(place) if not info.key.startswith(_METADATA))
    found = [(match["app"], int(match["ts"]), key, match["uuid"]) for key in keys if (match := _KEY.match(key))]
    for app, ts, key, uuid in sorted(found):
        taken_at = datetime.fromtimestamp(ts, UTC).isoformat()
        try:
            labels = _labels(_metadata(places, place, uuid, tenant_id), app, uuid, ts)
        except (Refused, ValueError) as error:
            yield RostiSnapshot(key, app, uuid, taken_at, trouble=str(error))
        else:
            yield RostiSnapshot(key, app, uuid, taken_at, labels)


def _metadata(places: Places, place: str, uuid: str, tenant_id: str) -> Any:
    with places.open(place, f"{_METADATA}{uuid}", tenant_id) as file:
        text = file.read(_LIMIT + 1)
    if len(text) > _LIMIT:
        raise ValueError("its metadata are bigger than any are")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("its metadata are not JSON") from None


def _labels(document: Any, app: str, uuid: str, ts: int) -> tuple[str, ...]:
    """As they were set; the one that rosti adds itself, the size of its body, says nothing of the import."""
    if not isinstance(document, dict) or (document.get("uuid"), document.get("app_name"), document.get("ts")) != (
        uuid, app, ts,
    ):  # fmt: skip
        raise ValueError("its metadata are of another snapshot than its key says")
    labels = document.get("labels")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("its metadata have no list of labels")
    kept = [label for label in labels if not label.startswith("size:")]
    try:
        return tuple(str(Label.parse(label)) for label in kept)
    except InvalidMessage as error:
        raise ValueError(f"a label cannot be kept: {error}") from None
