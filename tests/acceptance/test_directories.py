"""A directory belongs to one service: nobody reads or overwrites another's through a path."""

from __future__ import annotations

from domain.operation import State
from tests.acceptance.platform import Platform, code, digest


def test_a_directory_that_another_service_has_is_refused(platform: Platform) -> None:
    platform.service("dir-victim")
    for directory in ("dir-victim", "dir-victim/lib"):
        operation = platform.run("register-service", {"directory": directory}, service="dir-thief", tenant="evil")
        assert code(operation) == (State.FAILED, "directory-taken")
    assert platform.system.database.services.get("dir-thief") is None


def test_a_directory_around_another_service_s_is_refused(platform: Platform) -> None:
    """Replacing it would remove what lies in it."""
    platform.run("register-service", {"directory": "dir-outer/inner"}, service="dir-inner")
    operation = platform.run("register-service", {"directory": "dir-outer"}, service="dir-outer")
    assert code(operation) == (State.FAILED, "directory-taken")


def test_names_that_only_begin_alike_do_not_overlap(platform: Platform) -> None:
    platform.run("register-service", {"directory": "dir-a"}, service="dir-a")
    assert platform.run("register-service", {"directory": "dir-ab"}, service="dir-ab").state is State.SUCCEEDED


def test_a_copy_cannot_be_restored_over_a_service(platform: Platform) -> None:
    victim = platform.service("dir-target")
    platform.service("dir-source")
    snapshot = platform.snapshot("dir-source")
    before = digest(victim)
    data = {"snapshot_id": snapshot.snapshot_id, "target": {"directory": "dir-target"}}
    assert code(platform.run("restore-snapshot", data, service="dir-source")) == (State.FAILED, "directory-taken")
    assert digest(victim) == before


def test_a_copy_leaves_the_service_s_record_alone(platform: Platform) -> None:
    platform.service("dir-copy", configuration={"image": "shop:1"})
    snapshot = platform.snapshot("dir-copy")
    platform.run("register-service", {"configuration": {"image": "shop:2"}}, service="dir-copy")
    data = {"snapshot_id": snapshot.snapshot_id, "target": {"directory": "dir-copy-2"}}
    assert platform.run("restore-snapshot", data, service="dir-copy").state is State.SUCCEEDED
    found = platform.system.database.services.get("dir-copy")
    assert found is not None and found.document["items"]["image"]["image"] == {"value": "shop:2"}
