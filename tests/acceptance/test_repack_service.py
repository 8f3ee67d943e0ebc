"""repack-service on a real node: what a dry run says is won, and every snapshot stays what it was."""

from __future__ import annotations

import random
from pathlib import Path

from domain.operation import State
from tests.acceptance.platform import Platform, code, digest


def _changed(tree: Path, names: range, seed: int) -> None:
    for number in names:
        (tree / f"big-{number}").write_bytes(random.Random(seed * 100 + number).randbytes(3 << 20))


def test_a_sparse_pack_is_rewritten_and_the_snapshots_restore(platform: Platform) -> None:
    """I13, I14."""
    tree = platform.service("rp-one")
    _changed(tree, range(4), seed=1)
    first = platform.snapshot("rp-one")
    _changed(tree, range(3), seed=2)
    second = platform.snapshot("rp-one")
    before = digest(tree)
    platform.run("delete-snapshot", {"snapshot_id": first.snapshot_id}, service="rp-one")
    told = platform.run("repack-service", {"below_percent": 60, "dry_run": True}, service="rp-one").outcome
    done = platform.run("repack-service", {"below_percent": 60}, service="rp-one")
    assert told and done.outcome and done.state is State.SUCCEEDED
    assert done.outcome["figures"]["bytes_won"] == told["figures"]["bytes_won"] > 3 << 20
    found = platform.system.database.catalogue.get(second.snapshot_id)
    assert found is not None and not set(found.packs) & set(first.packs) and found.root_digest == second.root_digest
    _changed(tree, range(4), seed=3)
    third = platform.snapshot("rp-one")
    assert set(third.packs) & set(found.packs), "the next one builds upon what was rewritten"
    platform.run("restore-snapshot", {"snapshot_id": second.snapshot_id}, service="rp-one")
    assert digest(tree) == before


def test_a_service_that_nobody_knows_is_refused(platform: Platform) -> None:
    assert code(platform.run("repack-service", {}, service="rp-none")) == (State.FAILED, "unknown-service")
