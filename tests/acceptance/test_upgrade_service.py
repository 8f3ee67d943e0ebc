"""upgrade-service through real messages, a real worker and the region's double."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from domain.operation import State
from domain.upgrade_record import Status
from tests.acceptance.shop import (
    COMPONENT,
    V1_IMAGE,
    V2_IMAGE,
    Names,
    component_as_installed,
    env,
    port,
    template,
    volume,
)
from tests.acceptance.stage import Stage


@pytest.fixture(scope="module", params=["plain", "fenced"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"), fenced=request.param == "fenced")
    made.platform.start("web-1")
    made.publish_version(template(), "v2.0")
    yield made
    made.close()


@pytest.fixture
def names(stage: Stage) -> Names:
    stage.region.reset()
    found = Names()
    stage.install(found)
    return found


FORWARD = [
    "POST /env", "POST /env", "POST /ports", "PUT /ports", "POST /env", "POST /env", "POST /volumes", "PUT /volumes",
    "PUT /probe", "POST /dependency", "POST /depvolumes", "POST /plugin",
]  # fmt: skip


def test_an_upgrade_tells_the_region_each_change_in_order_and_builds_once(stage: Stage, names: Names) -> None:
    """Scenario 1; B24, B25, B31."""
    done = stage.upgrade(names.web)
    assert (done.state, done.error_code) == (State.SUCCEEDED, None), done.outcome
    assert stage.calls(names, names.web) == [*FORWARD, "POST /build"]
    added = [body["env_name"] for body in stage.bodies(names, names.web, "/env")]
    assert added == ["CACHE_URL", "WEB_ADMIN_PASS", "GRA7755B9090_HOST", "GRA7755B9090_PORT"]
    assert stage.bodies(names, names.web, "/env")[1]["env_value"] == names.web[:8]
    build = stage.bodies(names, names.web, "/build")[0]
    assert build["image_info"]["image_url"] == V2_IMAGE
    assert build["image_info"]["cmd"] == "start web --workers 4"
    stage.agree(names, names.web)
    record = stage.platform.system.database.records.of(done.op_id)[0]
    assert (record.status, record.old_version, record.new_version) == (Status.UPGRADED, "v1.0", "v2.0")
    assert record.snapshot_id is not None
