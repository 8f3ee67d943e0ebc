"""What the services that `commands.installed` registers have in each version, written down by hand.

Apart from the scenarios and the audit, which both hold services against it: that console and region agree, and that
the label is right, would also be true of an upgrade that has brought nothing along.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from domain.operation import Operation, State
from tests.prove.bench import SECRET

Items = dict[str, dict[str, dict[str, Any]]]

_V1: Items = {
    "image": {"image": {"value": "registry/app:v1"}, "deploy_version": {"value": "v1"}, "version": {"value": "v1"}},
    "env": {
        "MODE": {"name": "MODE", "attr_name": "MODE", "attr_value": "prod", "is_change": True, "scope": "inner",
                 "container_port": 0},
        "KEY": {"name": "KEY", "attr_name": "KEY", "attr_value": SECRET, "is_change": True, "scope": "inner",
                "container_port": 0, "secret": True},
    },
    "port": {
        "80": {"container_port": 80, "mapping_port": 80, "protocol": "http", "port_alias": "APP",
               "is_inner_service": True, "is_outer_service": False},
    },
}  # fmt: skip
_V2: Items = {
    "image": {"image": {"value": "registry/app:v2"}, "deploy_version": {"value": "v2"}, "version": {"value": "v2"}},
    "env": _V1["env"] | {
        "NEW": {"name": "NEW", "attr_name": "NEW", "attr_value": "v2", "is_change": True, "scope": "inner",
                "container_port": 0},
    },
    "port": _V1["port"] | {
        "8080": {"container_port": 8080, "mapping_port": 8080, "protocol": "http", "port_alias": "MORE",
                 "is_inner_service": True, "is_outer_service": False},
    },
    "connect_info": {
        "MORE_HOST": {"name": "MORE_HOST", "attr_name": "MORE_HOST", "attr_value": "127.0.0.1", "is_change": False,
                      "scope": "outer", "container_port": 8080},
        "MORE_PORT": {"name": "MORE_PORT", "attr_name": "MORE_PORT", "attr_value": "8080", "is_change": False,
                      "scope": "outer", "container_port": 8080},
    },
    "volume": {
        "/more/v2": {"volume_name": "more", "volume_path": "/more/v2", "volume_type": "share-file", "category": ""},
    },
}  # fmt: skip
#: The third version cannot be deployed, so nobody ever has it.
ITEMS: Mapping[str, Items] = {"v1": _V1, "v2": _V2}


def not_that_version(service: str, document: Mapping[str, Any], version: str) -> list[str]:
    """Where the console's rows are not those of that version; kinds only, because values may be secret."""
    ours, theirs = ITEMS[version], document["items"]
    other = [kind for kind in sorted(ours.keys() | theirs.keys()) if ours.get(kind, {}) != theirs.get(kind, {})]
    return [f"the {', '.join(other)} of {service} are not those of {version}"] if other else []


def left_out(operation: Operation) -> list[str]:
    """What an upgrade or rollback that has succeeded has not brought about: nothing refuses an item here."""
    outcome = operation.outcome or {}
    if operation.state is not State.SUCCEEDED:
        return []
    bad = [f"{operation.kind} left out {item['name']}" for item in outcome["items"] if item["code"] != "exists"]
    return bad if outcome["complete"] else [*bad, f"{operation.kind} calls itself incomplete"]
