"""Our own document of a configuration as somebody else hands it in: checked, because it may have been edited.

Apart from `Configuration.load`, which reads what this program has sealed itself and trusts it. Nothing gets
in here that the kinds could not plan with.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from domain.configuration import SCHEMA, Configuration
from domain.formats.shapes import LONGEST_NAME, fault, mapping, optional_text, port, text

#: Columns without which a row of that kind cannot be planned or told to a region.
NEEDED = {
    "env": ("attr_name",), "connect_info": ("attr_name",), "port": (), "volume": ("volume_name", "volume_path"),
    "config_file": ("volume_name", "volume_path"), "probe": (), "dependency": ("dep_service_id",),
    "mount": ("dep_service_id", "mnt_name", "mnt_dir"), "plugin": ("plugin_id",), "image": (), "slug": (),
    "resources": (),
}  # fmt: skip
#: Columns that the kind decides where a row lacks them.
_USUAL = {"connect_info": ("scope", "outer"), "config_file": ("volume_type", "config-file")}
_FIELDS = ("schema", "origin", "items", "rest")


def read(document: Mapping[str, Any]) -> Configuration:
    """InvalidMessage names the path of the first fault."""
    schema = document["schema"]
    if schema != SCHEMA or isinstance(schema, bool):
        raise fault("configuration.schema", f"must be {SCHEMA}, the only one that this program reads")
    for name in document:
        if name not in _FIELDS:
            raise fault(f"configuration.{name[:LONGEST_NAME]}", f"is no field here; it has {', '.join(_FIELDS)}")
    items = mapping(document["items"], "configuration.items")
    for kind, found in items.items():
        path = f"configuration.items.{kind[:LONGEST_NAME]}"
        if kind not in NEEDED:
            raise fault(path, f"is no kind of item; there are {', '.join(NEEDED)}")
        for key, row in mapping(found, path).items():
            _check(kind, key, mapping(row, f"{path}.{key[:LONGEST_NAME]}"), f"{path}.{key[:LONGEST_NAME]}")
    origin = mapping(document.get("origin") or {}, "configuration.origin")
    for name in ("group_key", "version", "share_uuid", "service_key", "group"):
        optional_text(origin, name, "configuration.origin")
    mapping(origin.get("plugins") or {}, "configuration.origin.plugins")
    rest = mapping(document.get("rest") or {}, "configuration.rest")
    kept = copy.deepcopy(dict(items))
    for kind, (column, usual) in _USUAL.items():
        for row in kept.get(kind, {}).values():
            row[column] = row.get(column) or usual
    return Configuration(kept, copy.deepcopy(dict(origin)), copy.deepcopy(dict(rest)))


def _check(kind: str, key: str, row: Mapping[str, Any], path: str) -> None:
    for column in NEEDED[kind]:
        text(row, column, path)
    if kind == "port":
        port(row, "container_port", path)
    if kind in ("image", "slug", "resources") and key != "registry" and "value" not in row:
        raise fault(f"{path}.value", "is missing")
