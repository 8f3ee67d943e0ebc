"""register-service: a record, kept sealed, moved and replaced; wrong ones change nothing."""

from __future__ import annotations

from domain.operation import State
from tests.acceptance.platform import Platform, code


def test_a_registered_service_is_known_with_its_node_and_directory(platform: Platform) -> None:
    operation = platform.run("register-service", {"directory": "acme/shop", "alias": "Shop"}, service="reg-known")
    assert operation.state is State.SUCCEEDED
    found = platform.system.database.services.get("reg-known")
    assert found is not None
    assert (found.tenant_id, found.node, found.directory, found.alias) == ("acme", "web-1", "acme/shop", "Shop")


def test_registering_again_replaces_the_record_and_raises_its_generation(platform: Platform) -> None:
    for directory in ("one", "two"):
        platform.run("register-service", {"directory": directory}, service="reg-again")
    found = platform.system.database.services.get("reg-again")
    assert found is not None and (found.directory, found.generation) == ("two", 2)


def test_a_service_of_another_tenant_is_not_taken_over(platform: Platform) -> None:
    platform.run("register-service", {}, service="reg-mine")
    operation = platform.run("register-service", {"directory": "theirs"}, service="reg-mine", tenant="evil")
    assert code(operation) == (State.FAILED, "wrong-tenant")
    found = platform.system.database.services.get("reg-mine")
    assert found is not None and (found.tenant_id, found.directory) == ("acme", "reg-mine")


def test_a_directory_outside_the_apps_root_is_refused_at_the_door(platform: Platform) -> None:
    """RS-19: refused before any I/O."""
    message_id = platform.publish("register-service", {"directory": "../../etc"}, service="reg-escape")
    assert "data.directory" in platform.letter_reason(message_id)
    assert platform.system.database.services.get("reg-escape") is None


def test_a_directory_that_leads_out_through_a_link_is_refused(platform: Platform) -> None:
    (platform.apps("web-1") / "reg-link").symlink_to("/etc")
    operation = platform.run("register-service", {"directory": "reg-link"}, service="reg-link")
    assert code(operation) == (State.FAILED, "path-escape")


def test_the_configuration_is_in_no_event_and_no_listing(platform: Platform) -> None:
    """I18."""
    secret = "canary-91b7"
    configuration = {"envs": [{"name": "DB_PASSWORD", "value": secret, "secret": True}]}
    operation = platform.run("register-service", {"configuration": configuration}, service="reg-secret")
    found = platform.system.database.services.get("reg-secret")
    assert found is not None and found.document["items"]["env"]["DB_PASSWORD"]["attr_value"] == secret
    assert secret not in repr(operation) and secret not in repr(found)
    for path in platform.home.glob("*.db*"):
        assert secret.encode() not in path.read_bytes()
