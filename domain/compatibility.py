"""The names that a bucket of rosti snapshots would have given: for tools that still parse them.

`backstay snapshots list --keys` shows them, with the value of the label that `BACKSTAY_INDEX_LABEL` names.
Backstay's own keys hold opaque ids only. This view is computed and never stored or parsed, so no colon
or slash in a label can confuse anything. Form: `<service>:<uuid>:<index value>:<unix seconds>`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from domain.snapshot import Snapshot


def key(snapshot: Snapshot, index_label: str) -> str:
    """The four-field key. The index value is that of the last label of that name, `-` if there is none;
    colons and slashes in it are percent-encoded, so that there are always four fields."""
    values = [quote(label.value, safe=" ") for label in snapshot.labels if label.name == index_label]
    return f"{snapshot.service_id}:{snapshot.snapshot_id}:{values[-1] if values else '-'}:{snapshot.taken_at // 1000}"


def metadata(snapshot: Snapshot) -> dict[str, Any]:
    """The metadata document: uuid, app_name, ts, labels; the size of the data is the last label."""
    return {
        "uuid": snapshot.snapshot_id,
        "app_name": snapshot.service_id,
        "ts": snapshot.taken_at // 1000,
        "labels": [*map(str, snapshot.labels), f"size:{snapshot.stored_bytes}"],
    }
