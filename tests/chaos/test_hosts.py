"""A sample of `make prove --only=hosts`: what a host does wrong, one case of each kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.victim import Death
from tests.fakes.region import RegionDouble
from tests.prove import full
from tests.prove.bench import Bench


@pytest.mark.skipif(bool(full.missing()), reason=f"no disk can be filled here: {full.missing()}")
def test_a_store_that_is_full_is_waited_for_and_named_and_nothing_is_lost(tmp_path: Path) -> None:
    """I1, I2, I5, I13 to I17."""
    with full.disks(tmp_path / "data"), RegionDouble(fenced=True) as region:
        cases = full.Full(Bench(tmp_path, region, full.environment(tmp_path / "data")))
        cases.case("create", "store", "blocks", 0, Death("claim.after-commit", 1), keep=False, ask=False)
        cases.bench.close()
    assert cases.bad == []
    assert (cases.reached, dict(cases.ends)) == (1, {"waiting: store-unavailable": 1})
