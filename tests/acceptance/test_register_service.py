"""register-service: a record, kept sealed, moved and replaced; wrong ones change nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from domain.configuration import Configuration
from domain.formats import details_from
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


# ---------------------------------------------------------------- what a configuration may be
def golden(name: str) -> Any:
    return json.loads((Path(__file__).parents[1] / "golden" / f"rainbond-{name}.json").read_text())


def kept(platform: Platform, service: str) -> Configuration:
    found = platform.system.database.services.get(service)
    assert found is not None
    return Configuration.load(found.document)


def test_a_console_s_export_is_kept_so_that_it_can_be_given_back_whole(platform: Platform) -> None:
    details = golden("details")
    done = platform.run("register-service", {"configuration": details}, service="reg-export")
    assert done.state is State.SUCCEEDED
    assert details_from(kept(platform, "reg-export"), "acme", "reg-export") == details


def test_a_stored_backup_that_is_a_list_is_taken(platform: Platform) -> None:
    """B17."""
    backup = golden("backup-list")
    platform.run("register-service", {"configuration": backup}, service="reg-backup")
    assert details_from(kept(platform, "reg-backup"), "acme", "reg-backup") == backup[0]


def test_a_service_is_found_by_the_group_and_the_share_key_of_its_configuration(platform: Platform) -> None:
    platform.run("register-service", {"configuration": golden("details") | {"group": "reg-shop"}}, service="reg-group")
    members = platform.system.database.services.in_group("acme", "reg-shop")
    assert [(found.service_id, found.share_uuid) for found in members] == [
        ("reg-group", golden("details")["service_source"]["service_share_uuid"])
    ]


def test_what_was_kept_can_be_registered_again(platform: Platform) -> None:
    platform.run("register-service", {"configuration": golden("details")}, service="reg-own")
    before = kept(platform, "reg-own")
    platform.run("register-service", {"configuration": before.document()}, service="reg-own")
    assert kept(platform, "reg-own") == before


def test_a_misspelt_field_is_refused_at_the_door_by_its_path(platform: Platform) -> None:
    configuration = {"image": "shop:1", "envs": [{"name": "A", "vlaue": "canary-77"}]}
    message_id = platform.publish("register-service", {"configuration": configuration}, service="reg-misspelt")
    reason = platform.letter_reason(message_id)
    assert "configuration.envs.0.vlaue" in reason and "canary-77" not in reason
    assert platform.system.database.services.get("reg-misspelt") is None


def test_a_corrupt_export_is_refused_without_any_of_its_secrets(platform: Platform) -> None:
    """B55."""
    details = golden("details")
    details["service_source"]["extend_info"] += "}"
    details["service_base"]["image"] = "canary-image"
    message_id = platform.publish("register-service", {"configuration": details}, service="reg-corrupt")
    reason = platform.letter_reason(message_id)
    assert "configuration.service_source.extend_info is not JSON" in reason
    assert "golden" not in reason and "canary" not in reason
