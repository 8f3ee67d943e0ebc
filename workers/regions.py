"""What a node knows about each region: its address, how to prove who we are, and how long to wait.

Apart from `config.py` because a region has settings of its own, and from `region_client.py` because the
configuration must be checked without a connection. Parsing reports every mistake at once and quotes no value.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """One region. All durations are in seconds."""

    name: str
    url: str
    token: str | None = field(default=None, repr=False)  # the whole value of the header Authorization
    ca_file: str | None = None
    cert_file: str | None = None  # our certificate; `key_file` belongs to it
    key_file: str | None = None
    connect_seconds: float = 5.0
    call_seconds: float = 10.0  # longest silence; the whole call: connect_seconds + call_seconds
    fenced: bool = False  # the region refuses calls with an old fence
    settle_seconds: float = 45.0  # how long a call whose reply was lost can still take effect
    retry_seconds: float = 10.0  # how long one step repeats a call before its operation waits
    #: console's tenant -> {"name", "id"} of the tenant in the region; a tenant that is absent has the same of both.
    tenants: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def tenant_name(self, tenant_id: str) -> str:
        """The name of the tenant in paths of the region."""
        return self.tenants.get(tenant_id, {}).get("name", tenant_id)

    def tenant_key(self, tenant_id: str) -> str:
        """The id of the tenant in bodies for the region."""
        return self.tenants.get(tenant_id, {}).get("id", tenant_id)


def known_regions(regions: Mapping[str, RegionSettings] | None, url: str | None) -> dict[str, RegionSettings]:
    """All that are configured, by name; the single `url` is the one called `default`."""
    known = dict(regions or {})
    if url is not None:
        known.setdefault("default", RegionSettings(name="default", url=url))
    return known


_TEXTS = ("url", "token", "ca_file", "cert_file", "key_file")
_SECONDS = ("connect_seconds", "call_seconds", "settle_seconds", "retry_seconds")


def parse_regions(given: str | Mapping[str, Any]) -> dict[str, RegionSettings]:
    """Regions by name, from a JSON object or from the tables `[regions.NAME]`. ValueError names all problems."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(given, Mapping):
        raise ValueError("must be an object with one region per name")
    problems: list[str] = []
    regions: dict[str, RegionSettings] = {}
    for name, table in given.items():
        found = _problems(table)
        problems += [f"{name}.{problem}" if problem[0] != " " else f"{name}{problem}" for problem in found]
        if not found:
            regions[name] = RegionSettings(name=name, **table)
    if problems:
        raise ValueError("; ".join(problems))
    return regions


def _problems(table: Any) -> list[str]:
    if not isinstance(table, Mapping):
        return [" must be an object with at least url"]
    known = {item.name for item in fields(RegionSettings)} - {"name"}
    found = [f"{key}: is no setting of a region" for key in table if key not in known]
    found += [f"{key}: must be text" for key in _TEXTS if key in table and not _is_text(table[key])]
    found += [f"{key}: must be a number of seconds above 0" for key in _SECONDS if not _is_duration(table.get(key, 1))]
    if not isinstance(table.get("fenced", False), bool):
        found.append("fenced: must be true or false")
    if not _is_address(table.get("url")):
        found.append("url: must be http://HOST[:PORT] or https://HOST[:PORT]")
    if ("cert_file" in table) != ("key_file" in table):
        found.append("cert_file and key_file: set both or none")
    for key in ("ca_file", "cert_file", "key_file"):
        if _is_text(table.get(key)) and not os.path.isfile(table[key]):
            found.append(f"{key}: there is no such file")
    return found + _tenant_problems(table.get("tenants", {}))


def _tenant_problems(tenants: Any) -> list[str]:
    if not isinstance(tenants, Mapping):
        return ["tenants: must be an object by console tenant"]
    return [
        f"tenants.{tenant}: must have name, id or both, as text"
        for tenant, names in tenants.items()
        if not isinstance(names, Mapping)
        or not set(names) <= {"name", "id"}
        or not all(_is_text(text) for text in names.values())
    ]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != "" and "\n" not in value and "\r" not in value


def _is_duration(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 3600


def _is_address(value: Any) -> bool:
    if not _is_text(value):
        return False
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:
        return False
