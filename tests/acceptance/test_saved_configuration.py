"""What a snapshot keeps of a service besides its files, through real messages."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from domain.configuration import Configuration
from domain.contracts import SnapshotRequest
from domain.operation import State
from domain.protection import catalogue_row
from tests.acceptance.platform import Platform, code, digest, grow
from tests.unit.storage_archive.workshop import QuietWatch


def _planted(platform: Platform, service: str, configuration: dict[str, Any]) -> str:
    """A snapshot as another program may have made it."""
    tree = str(platform.apps("web-1") / service)
    request = SnapshotRequest(str(uuid.uuid4()), "acme", service, tree, configuration)
    row = catalogue_row(platform.system.archive.create(request, QuietWatch()), ())
    assert platform.system.database.catalogue.recover(row)
    return row.snapshot_id


NEWER_DOCUMENT = {"configuration": {"schema": 2, "items": {}, "origin": {}}}


@pytest.mark.parametrize(
    ("number", "saved", "expected"),
    [
        (1, {"version": 9, "sections": {}}, "configuration-too-new"),
        (2, {"sections": {}}, "configuration-unreadable"),
        (3, {"version": 1, "sections": NEWER_DOCUMENT}, "configuration-too-new"),
    ],
)
def test_a_version_that_nobody_knows_is_refused_before_anything_changes(
    platform: Platform, number: int, saved: dict[str, Any], expected: str
) -> None:
    """CN-04: neither the record nor the tree."""
    service = f"sc-new-{number}"
    tree = platform.service(service, configuration={"image": "shop:1"})
    name = _planted(platform, service, saved)
    grow(tree, seed=2)
    before, record = digest(tree), platform.system.database.services.get(service)

    operation = platform.run("restore-snapshot", {"snapshot_id": name}, service=service)

    assert code(operation) == (State.FAILED, expected)
    assert digest(tree) == before and platform.system.database.services.get(service) == record


def test_a_restore_onto_a_new_service_gives_it_name_and_configuration(platform: Platform) -> None:
    """CN-03, CN-05: and neither the directory, the node nor the retention policy of the other one."""
    platform.service("sc-old", configuration={"image": "shop:1"}, alias="shop")
    snapshot = platform.snapshot("sc-old", include=["configuration"])
    platform.service("sc-new")
    platform.run("restore-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="sc-new")

    found = platform.system.database.services.get("sc-new")
    assert found is not None
    assert (found.alias, found.directory, found.node) == ("shop", "sc-new", "web-1")
    assert Configuration.load(found.document).of("image") == {"image": {"value": "shop:1"}}
