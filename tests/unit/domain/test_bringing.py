"""Sources that are brought back: what a snapshot does not hold is no success."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from domain.bringing import bring_sources
from domain.context import Context
from domain.errors import Refused
from domain.restore import SavedSource
from domain.service import Service
from domain.snapshot import Snapshot

WEB = Service("web", "acme", "web", "web", node="n1")


def test_what_a_snapshot_does_not_hold_is_never_called_brought_back() -> None:
    """As a rollback of an earlier release left it: its safety snapshot knew nothing of what it replaced."""
    summary = SimpleNamespace(sources=(SavedSource("disk", "volume", 1),))
    context = SimpleNamespace(archive=SimpleNamespace(read=lambda key: summary), journal=None)
    snapshot = SimpleNamespace(snapshot_id="s1", manifest_key="k")
    with pytest.raises(Refused, match="holds no source db,") as refused:
        bring_sources(cast(Context, context), WEB, cast(Snapshot, snapshot), {"db", "disk"})
    assert refused.value.code == "source-restored"
